"""Reads NDJSON and CSV from any byte position on, so that a stopped job can go on where it was.

Lines are cut from bytes, not from text: a position must be exact, and one line that is not UTF-8 must not end the file.
"""

import base64
import codecs
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from serving.bulk.records import Entry, Place
from serving.errors import BulkError, RecordError
from serving.records import Columns, ad_from, ad_from_json
from serving.schemas import Limits

DELIMITERS = ",;\t|"
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def kept_bytes(raw: bytes) -> dict[str, str]:
    """A rejected line as JSON can hold it, byte for byte."""
    try:
        return {"raw": raw.decode("utf-8")}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(raw).decode("ascii")}


def open_text(path: Path) -> BinaryIO:
    """Open a text file as bytes, after a byte order mark if there is one.

    Raises:
        BulkError: it cannot be read or is UTF-16.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise BulkError(f"Cannot read {path}: {error.strerror}.") from error
    start = file.read(3)
    if start.startswith(UTF16):
        file.close()
        raise BulkError(f"{path} is UTF-16; save it as UTF-8.")
    file.seek(3 if start == codecs.BOM_UTF8 else 0)
    return file


class Lines:
    """Physical lines of a file, each at most ``limit`` bytes; remembers what was read since ``mark``."""

    def __init__(self, file: BinaryIO, start: Place, limit: int) -> None:
        if start.done:
            file.seek(start.done)
        self._file, self.limit = file, limit
        self.place = Place(file.tell(), start.line)
        self.mark()

    def mark(self) -> None:
        """Forget what was read: a record ends here."""
        self._from, self.too_long, self._read = self.place, False, bytearray()

    @property
    def first_line(self) -> int:
        return self._from.line + 1

    @property
    def kept(self) -> dict[str, Any]:
        """What was read since the mark; where it is too long to keep, where in the file it lies."""
        if self.too_long:
            return {"offset": self._from.done, "bytes": self.place.done - self._from.done}
        return kept_bytes(bytes(self._read))

    def __iter__(self) -> Iterator[bytes]:
        while line := self._file.readline(self.limit):
            length = len(line)
            while not line.endswith(b"\n") and (more := self._file.readline(self.limit)):
                # Too long: read to its end for the position's sake, keep nothing.
                length, self.too_long = length + len(more), True
                if more.endswith(b"\n"):
                    break
            self.place = Place(self.place.done + length, self.place.line + 1)
            # A record may have many lines (an unclosed quotation mark!); together they must not fill the memory either.
            self.too_long = self.too_long or len(self._read) + len(line) > self.limit
            if not self.too_long:
                self._read += line
            yield line


class DecodedLines:
    """What a CSV reader reads. A record that is too long ends in an error there; the next line then begins a new one."""

    def __init__(self, lines: Lines) -> None:
        self._lines, self._left = lines, iter(lines)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._left)
        if self._lines.too_long:
            raise csv.Error(f"the record is longer than {self._lines.limit} bytes")
        return line.decode("utf-8", "surrogateescape")


class NdjsonInput:
    """A file with one JSON object a line. Empty lines are passed over."""

    unit = "bytes"

    def __init__(self, path: Path, columns: Columns, limits: Limits, max_line_bytes: int) -> None:
        open_text(path).close()
        self.total = path.stat().st_size
        self._path, self._columns, self.limits, self._max = path, columns, limits, max_line_bytes

    def entries(self, start: Place) -> Iterator[Entry]:
        """Every line from ``start`` on."""
        with open_text(self._path) as file:
            lines = Lines(file, start, self._max)
            for raw in lines:
                if raw.strip():
                    yield self._entry(raw, lines)
                lines.mark()

    def _entry(self, raw: bytes, lines: Lines) -> Entry:
        try:
            if lines.too_long:
                raise RecordError(f"The line is longer than {self._max} bytes.")
            ad = ad_from_json(raw, self._columns, lines.first_line, self.limits)
        except RecordError as error:
            return Entry(lines.first_line, lines.place, reason=str(error), kept=lines.kept)
        return Entry(lines.first_line, lines.place, ad)


class CsvInput:
    """A CSV file with a header. The delimiter is the one that gives a header with the text column in it."""

    unit = "bytes"

    def __init__(self, path: Path, columns: Columns, limits: Limits, max_line_bytes: int) -> None:
        self._path, self._columns, self.limits, self._max = path, columns, limits, max_line_bytes
        csv.field_size_limit(max_line_bytes)
        self._delimiter, self._header, self._body = self._read_header()
        columns.check(self._header, path)
        self.total = path.stat().st_size

    def _read_header(self) -> tuple[str, list[str], Place]:
        found: list[tuple[str, list[str], Place]] = []
        for delimiter in DELIMITERS:
            with open_text(self._path) as file:
                lines = Lines(file, Place(), self._max)
                try:
                    header = next(csv.reader(DecodedLines(lines), delimiter=delimiter), None)
                except csv.Error as error:
                    raise BulkError(f"{self._path} has no CSV header: {error}.") from error
                if not header:
                    raise BulkError(f"{self._path} is empty; its first line must name the columns.")
                found.append((delimiter, header, lines.place))
        fitting = (one for one in found if self._columns.text in one[1])
        return next(fitting, max(found, key=lambda one: len(one[1])))

    def entries(self, start: Place) -> Iterator[Entry]:
        """Every record from ``start`` on."""
        with open_text(self._path) as file:
            lines = Lines(file, start if start.done else self._body, self._max)
            reader = csv.reader(DecodedLines(lines), delimiter=self._delimiter)
            while True:
                try:
                    row = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield Entry(lines.first_line, lines.place, reason=f"Not CSV: {error}.", kept=lines.kept)
                else:
                    if row:
                        yield self._entry(row, lines)
                lines.mark()

    def _entry(self, row: list[str], lines: Lines) -> Entry:
        try:
            if len(row) != len(self._header):
                raise RecordError(f"The record has {len(row)} fields, the header {len(self._header)}.")
            values = dict(zip(self._header, row, strict=True))
            try:
                "".join(row).encode("utf-8")
            except UnicodeEncodeError:
                raise RecordError("Not UTF-8.") from None
            ad = ad_from(values, self._columns, lines.first_line, self.limits)
        except RecordError as error:
            return Entry(lines.first_line, lines.place, reason=str(error), kept=lines.kept)
        return Entry(lines.first_line, lines.place, ad)
