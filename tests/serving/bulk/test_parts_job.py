from pathlib import Path
from typing import Any

import pytest

from serving.bulk.parts import find_parts
from serving.bulk.parts_job import PartsFolder, PartsJob, PinnedModel
from serving.errors import BulkError
from serving.records import Columns

MODEL = PinnedModel("released", "d" * 64, ("debt_or_fees", "states_limits"))


@pytest.fixture
def ads(tmp_path: Path) -> Path:
    (tmp_path / "ads").mkdir()
    for name in ("a", "b"):
        (tmp_path / "ads" / f"{name}.ndjson").write_text('{"text": "Cat lost."}\n')
    return tmp_path / "ads"


def folder_of(ads: Path, model: PinnedModel = MODEL, **options: Any) -> PartsFolder:
    out = ads.parent / "out"
    chosen: dict[str, Any] = {"source_format": None, "out_format": "ndjson", "columns": Columns()} | options
    return PartsFolder(PartsJob(find_parts(str(ads), out, "ndjson", None).parts, out, **chosen), model, 20_000)


def begun(ads: Path) -> None:
    with folder_of(ads):
        pass


def test_a_job_is_continued_only_when_asked(ads: Path) -> None:
    begun(ads)
    with pytest.raises(BulkError, match="holds a job already: continue it with --resume"), folder_of(ads):
        pass
    with folder_of(ads, resume=True) as folder:
        assert folder.labels == [*MODEL.label_ids]


def test_a_job_is_not_continued_with_other_options_or_another_model(ads: Path) -> None:
    begun(ads)
    with (
        pytest.raises(BulkError, match="this differs: labels, evidence"),
        folder_of(ads, labels=("debt_or_fees",), evidence=False, resume=True),
    ):
        pass
    other = PinnedModel("released", "e" * 64, MODEL.label_ids)
    with pytest.raises(BulkError, match="this differs: bundle digest"), folder_of(ads, other, resume=True):
        pass


def test_a_part_that_changed_is_refused_and_a_new_one_is_welcome(ads: Path) -> None:
    begun(ads)
    (ads / "c.ndjson").touch()
    with folder_of(ads, resume=True):
        pass
    (ads / "a.ndjson").write_text('{"text": "Cat found."}\n')
    with pytest.raises(BulkError, match=r"a\.ndjson changed since it began"), folder_of(ads, resume=True):
        pass


def test_one_process_at_a_time(ads: Path) -> None:
    with folder_of(ads), pytest.raises(BulkError, match="Another process is writing"), folder_of(ads, resume=True):
        pass
    with folder_of(ads, resume=True):
        pass


def test_a_folder_with_other_files_is_left_alone(ads: Path) -> None:
    (ads.parent / "out").mkdir()
    (ads.parent / "out" / "letter.txt").touch()
    with pytest.raises(BulkError, match=r"holds other files \(letter.txt\)"), folder_of(ads):
        pass
    assert not (ads.parent / "out" / "_job.json").exists()


def test_a_label_that_is_none_is_refused_before_anything_is_written(ads: Path) -> None:
    with pytest.raises(BulkError, match="'debts' is not an indicator"):
        folder_of(ads, labels=("debts",))
    assert not (ads.parent / "out").exists()
