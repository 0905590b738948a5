from pathlib import Path

import pytest

from serving.bulk.journal import Paths
from serving.bulk.parts import find_parts
from serving.errors import BulkError


@pytest.fixture
def ads(tmp_path: Path) -> Path:
    """A folder as a crawler and Spark leave it."""
    for name in (
        "b.ndjson",
        "day=1/a.parquet",
        "day=2/a.parquet",
        "day=2/_SUCCESS",
        "day=2/.a.parquet.crc",
        "_old/c.ndjson",
        "n.txt",
    ):
        file = tmp_path / "ads" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * len(name))
    return tmp_path / "ads"


def test_a_folder_gives_its_files_at_any_depth_and_says_what_it_passes_over(ads: Path, tmp_path: Path) -> None:
    found = find_parts(str(ads), tmp_path / "out", "parquet", None)
    assert [part.name for part in found.parts] == ["b.ndjson", "day=1/a.parquet", "day=2/a.parquet"]
    assert [part.out for part in found.parts] == [tmp_path / "out" / f"{name}.parquet" for name in ("b", "day=1/a", "day=2/a")]
    assert found.passed_over == [ads / "n.txt"]
    assert len({part.lock_name for part in found.parts}) == 3


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*/*.parquet", ["day=1/a.parquet", "day=2/a.parquet"]),
        ("**/*.ndjson", ["b.ndjson"]),
        ("day=2/*.parquet", ["a.parquet"]),
        ("day=[12]/a.*", ["day=1/a.parquet", "day=2/a.parquet"]),
        ("b.ndjson", ["b.ndjson"]),
    ],
)
def test_a_pattern_gives_what_it_matches(
    ads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, names: list[str]
) -> None:
    for source in (f"{ads}/{pattern}", f"ads/{pattern}"):
        monkeypatch.chdir(tmp_path)
        found = find_parts(source, Path("out"), "ndjson", None)
        assert [part.name for part in found.parts] == names
        assert all(part.source.is_absolute() and part.out.is_relative_to(tmp_path / "out") for part in found.parts)


def test_a_format_by_option_takes_every_file(ads: Path, tmp_path: Path) -> None:
    found = find_parts(str(ads), tmp_path / "out", "ndjson", "ndjson")
    assert [part.name for part in found.parts] == ["b.ndjson", "day=1/a.parquet", "day=2/a.parquet", "n.txt"]
    assert not found.passed_over


def test_two_parts_with_one_result_are_refused(ads: Path, tmp_path: Path) -> None:
    (ads / "b.csv").touch()
    with pytest.raises(BulkError, match=r"b\.csv and .*b\.ndjson would both be written to .*b\.ndjson"):
        find_parts(str(ads), tmp_path / "out", "ndjson", None)


@pytest.mark.parametrize("source", ["ads/none", "ads/*.csv", "none/*.csv"])
def test_nothing_to_score_is_an_error(ads: Path, tmp_path: Path, source: str) -> None:
    with pytest.raises(BulkError, match="There is no file to score"):
        find_parts(str(tmp_path / source), tmp_path / "out", "ndjson", None)


def test_results_never_become_input(ads: Path) -> None:
    with pytest.raises(BulkError, match="lies in the folder that is read"):
        find_parts(str(ads), ads / "scores", "ndjson", None)


def test_a_part_is_done_only_when_its_result_is_whole(ads: Path, tmp_path: Path) -> None:
    (part,) = find_parts(str(ads / "b.ndjson"), tmp_path / "out", "ndjson", None).parts
    paths = Paths(part.out)
    part.out.parent.mkdir()
    paths.partial.touch()
    paths.state.touch()
    assert not part.done
    paths.partial.replace(part.out)
    assert not part.done
    paths.state.unlink()
    assert part.done
