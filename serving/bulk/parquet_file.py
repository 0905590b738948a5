"""Reads Parquet from any row on; only the columns that are needed, a few rows at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from serving.bulk.records import Entry, Place
from serving.errors import BulkError, RecordError
from serving.records import Columns, ad_from
from serving.schemas import Limits

ROWS_AT_ONCE = 256


class ParquetInput:
    """A Parquet file. Rows are counted from 1."""

    unit = "rows"

    def __init__(self, path: Path, columns: Columns, limits: Limits) -> None:
        self._path, self._columns, self._limits = path, columns, limits
        with self._open() as file:
            names = file.schema_arrow.names
            self.total: int = file.metadata.num_rows
        columns.check(names, path)
        self._names = [name for name in (columns.text, columns.id_name, columns.language_name) if name in names]

    def _open(self) -> pyarrow.parquet.ParquetFile:
        try:
            return pyarrow.parquet.ParquetFile(self._path)
        except (pyarrow.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno:
                raise BulkError(f"Cannot read {self._path}: {error.strerror or error}.") from error
            raise BulkError(f"{self._path} is not a Parquet file, or damaged: {_one_line(error)}") from error

    def entries(self, start: Place) -> Iterator[Entry]:
        """Every row from ``start`` on; row groups that lie behind are not read."""
        with self._open() as file:
            row, groups = 0, list(range(file.num_row_groups))
            while groups and row + file.metadata.row_group(groups[0]).num_rows <= start.done:
                row += file.metadata.row_group(groups.pop(0)).num_rows
            try:
                for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=groups, columns=self._names):
                    for index in range(batch.num_rows):
                        row += 1
                        if row > start.done:
                            yield self._entry(batch, index, row)
            except (pyarrow.ArrowException, OSError) as error:
                raise BulkError(f"{self._path} is damaged after row {row}: {_one_line(error)}") from error

    def _entry(self, batch: pyarrow.RecordBatch, index: int, row: int) -> Entry:
        values: dict[str, Any] = {}
        try:
            for name in self._names:
                try:
                    values[name] = batch.column(name)[index].as_py()
                except UnicodeDecodeError:
                    raise RecordError(f"{name}: Not UTF-8.") from None
            ad = ad_from(values, self._columns, row, self._limits)
        except RecordError as error:
            return Entry(row, Place(row, row), reason=str(error), kept={"row": row, "values": values})
        return Entry(row, Place(row, row), ad)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
