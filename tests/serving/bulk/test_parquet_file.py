import random
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from serving.bulk.parquet_file import ParquetInput
from serving.bulk.records import Place
from serving.errors import BulkError
from serving.records import Columns
from serving.schemas import Limits

LIMITS = Limits(max_ads=64, max_characters=100, label_ids=())


def written(path: Path, columns: dict[str, Any], rows_in_group: int = 3) -> Path:
    pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=rows_in_group)
    return path


def test_rows_are_read_and_bad_ones_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "in.parquet", {"id": [7, 8, None], "text": ["one", None, "three"], "price": [1.5, None, 2.0]})
    first, second, third = ParquetInput(path, Columns(), LIMITS).entries(Place())
    assert first.ad
    assert third.ad
    assert (first.line, first.ad.id, first.ad.text) == (1, "7", "one")
    assert (second.ad, second.line, second.reason) == (None, 2, "text: This must be a string.")
    assert second.kept == {"row": 2, "values": {"text": None, "id": 8}}
    assert (third.ad.id, third.ad.text) == ("3", "three")


def test_reading_may_go_on_after_any_row(tmp_path: Path) -> None:
    path = written(tmp_path / "in.parquet", {"text": [f"text {i}" for i in range(10)]})
    entries = list(ParquetInput(path, Columns(), LIMITS).entries(Place()))
    assert [entry.line for entry in entries] == list(range(1, 11))
    for number, entry in enumerate(entries):
        assert list(ParquetInput(path, Columns(), LIMITS).entries(entry.after)) == entries[number + 1 :]


def test_a_string_that_is_not_utf8_is_one_bad_row(tmp_path: Path) -> None:
    bad = pyarrow.array([b"one", b"\xff\xfe", b"three"], pyarrow.binary()).view(pyarrow.string())
    path = written(tmp_path / "in.parquet", {"text": bad})
    entries = list(ParquetInput(path, Columns(), LIMITS).entries(Place()))
    assert [entry.ad.text if entry.ad else entry.reason for entry in entries] == ["one", "text: Not UTF-8.", "three"]


@pytest.mark.parametrize(
    "kind", [pyarrow.large_string(), pyarrow.string_view(), pyarrow.dictionary(pyarrow.int32(), pyarrow.string())]
)
def test_every_kind_of_string_column_is_read(tmp_path: Path, kind: pyarrow.DataType) -> None:
    path = written(tmp_path / "in.parquet", {"text": pyarrow.array(["one", "two", "one"]).cast(kind)})
    found = [entry.ad.text if entry.ad else entry.reason for entry in ParquetInput(path, Columns(), LIMITS).entries(Place())]
    assert found == ["one", "two", "one"]


def test_what_is_no_parquet_file_or_lacks_the_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.parquet").write_bytes(b"id,text\n")
    with pytest.raises(BulkError, match="is not a Parquet file"):
        ParquetInput(tmp_path / "in.parquet", Columns(), LIMITS)
    with pytest.raises(BulkError, match="Cannot read"):
        ParquetInput(tmp_path / "none.parquet", Columns(), LIMITS)
    with pytest.raises(BulkError, match="no column 'text'"):
        ParquetInput(written(tmp_path / "in.parquet", {"body": ["x"]}), Columns(), LIMITS)


@pytest.mark.parametrize(
    ("place", "says"), [(0.4, "is damaged after row [0-9]+: "), (0.97, "is not a Parquet file, or damaged: ")]
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, place: float, says: str) -> None:
    numbers = random.Random(1)
    path = written(tmp_path / "in.parquet", {"text": [str(numbers.random()) * 5 for i in range(500)]}, rows_in_group=100)
    raw = bytearray(path.read_bytes())
    start = int(len(raw) * place)
    raw[start : start + 200] = b"\xff" * 200
    path.write_bytes(raw)
    with pytest.raises(BulkError, match=says) as caught:
        list(ParquetInput(path, Columns(), LIMITS).entries(Place()))
    assert "\n" not in str(caught.value)
