"""Files as rows with line numbers: JSON Lines, CSV, Parquet, by the ending of the name. A row that cannot be read is a
problem, and the next one is read all the same."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labeling.errors import IntakeError
from labeling.intake.rows import Problem

Rows = Iterator[tuple[int, dict[str, Any]] | Problem]
"""Each with its line in the file: of JSON Lines the line, of CSV the line on which the row begins, of Parquet the row, from 1."""

_LONGEST_CELL = 1_000_000


def read_rows(path: Path) -> Rows:
    """The rows of a file.

    Raises:
        IntakeError: it is missing, of another kind, or as a whole not what its name says.
    """
    readers = {".jsonl": _json_lines, ".ndjson": _json_lines, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise IntakeError(f"{path}: the name must end in {', '.join(readers)}.")
    try:
        yield from reader(path)
    except OSError as error:
        raise IntakeError(f"Cannot read {path}: {error.strerror or 'it is broken'}.") from error


def _json_lines(path: Path) -> Rows:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                fields = json.loads(line)
            except UnicodeDecodeError:
                yield Problem(number, "is not UTF-8")
            except (json.JSONDecodeError, RecursionError):
                yield Problem(number, "is not JSON")
            else:
                yield (number, fields) if isinstance(fields, dict) else Problem(number, "is no JSON object")


def _csv(path: Path) -> Rows:
    csv.field_size_limit(_LONGEST_CELL)
    # Bytes that are no UTF-8 become lone surrogates, which the check of the row refuses.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        header = file.readline()
        file.seek(0)
        delimiter = max(",;\t", key=header.count)
        reader = csv.reader(file, delimiter=delimiter)
        names = next(reader, [])
        if not {"id", "text"} <= set(names):
            raise IntakeError(f"{path}: the first line must name the columns, among them id and text.")
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                yield Problem(line, "is no row of CSV")
                continue
            if not cells:
                continue
            if len(cells) != len(names):
                yield Problem(line, f"has {len(cells)} cells, the first line names {len(names)}")
                continue
            yield line, dict(zip(names, cells, strict=True))


def _parquet(path: Path) -> Rows:
    import pyarrow.parquet
    from pyarrow import ArrowException

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            if not {"id", "text"} <= set(file.schema_arrow.names):
                raise IntakeError(f"{path}: there must be columns id and text.")
            number = 0
            for batch in file.iter_batches(batch_size=1000):
                for fields in batch.to_pylist():
                    number += 1
                    yield number, fields
    except ArrowException as error:
        raise IntakeError(f"{path} is no whole Parquet file.") from error
