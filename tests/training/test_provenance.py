"""Whether training saw the test texts is said of every training behind the weights, or not said."""

from pathlib import Path

import pytest

from models.taxonomy import packaged_taxonomy
from tests.conftest import SmallRun
from tests.training.small_data import write_small_data
from training.data import load_data
from training.fitting import fit
from training.provenance import ANCESTORS, DIFFERS, STARTED_FROM, How, Unseen, read_how, trained_languages, unseen
from training.settings import TrainingSettings

HERE = [{"file": "here.jsonl", "sha256": "aaaa", "share": 1.0}]
ELSEWHERE = [{"file": "march.jsonl", "sha256": "eeee", "share": 1.0}]
BEGUN = {"data": HERE, STARTED_FROM: "signaal A"}


def test_a_bundle_says_what_the_bundle_that_it_started_from_saw(small_run: SmallRun, tmp_path: Path) -> None:
    path = write_small_data(tmp_path / "more.jsonl", texts=16)
    path.write_text(path.read_text(encoding="utf-8").replace('"lang": "bg"', '"lang": "it"'), encoding="utf-8")
    data = load_data(path, packaged_taxonomy())
    begun_with = small_run.result.bundle
    settings = TrainingSettings(
        data=path,  # type: ignore[arg-type]
        output=tmp_path,
        start_from=str(begun_with.folder),
        layers=2,
        max_steps=1,
    )
    fit(tmp_path / "bundle", "a-run", data, packaged_taxonomy(), settings, small_run.settings)
    how = read_how(tmp_path / "bundle")
    assert how[STARTED_FROM] == str(begun_with.identity)
    assert how[ANCESTORS] == [read_how(begun_with.folder)["data"]]
    assert unseen(how, data.digest) == Unseen.BY_THIS
    assert trained_languages(how) == {*(trained_languages(read_how(begun_with.folder)) or ()), "it"}
    assert "bg" not in data.languages


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"data": HERE}, Unseen.BY_ANY),
        ({"data": ELSEWHERE}, Unseen.NOT_KNOWN),
        ({"data": HERE, DIFFERS: {"data": [HERE, None]}}, Unseen.NOT_KNOWN),
        (BEGUN | {ANCESTORS: [HERE]}, Unseen.BY_ANY),
        (BEGUN | {ANCESTORS: [HERE, ELSEWHERE]}, Unseen.BY_THIS),
        (BEGUN | {ANCESTORS: [HERE, None]}, Unseen.BY_THIS),
        (BEGUN, Unseen.BY_THIS),
        (BEGUN | {"data": ELSEWHERE, ANCESTORS: [HERE]}, Unseen.NOT_KNOWN),
    ],
)
def test_no_training_saw_the_test_texts_only_where_that_is_known_of_all(how: How, expected: Unseen) -> None:
    assert unseen(how, "aaaa") == expected
