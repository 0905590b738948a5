"""The files of an outbox: segments of NDJSON, each named by the sequence number of its first record.

Why files of our own, and not SQLite (which would have spared us this module and the next): labelling reads them as data,
without our code; they are copied and looked at with the plainest tools; and an erased record is gone from its file at once,
where a database keeps it in free pages and its log. What has to be made for it is small: append, sync, and cut a torn tail.

A request's records stand together in one segment and count only when all are there. Only the last segment may end in a torn
tail: bytes of a write that was never acknowledged. Anything else that is not whole is damage, and is never cut away silently.
"""

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from serving.errors import OutboxError, RecordError
from serving.feedback.record import Record
from serving.file_lock import is_current, lock, unlock

_NAME = re.compile(r"feedback-(\d{15})\.ndjson")


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record and its line, as it stands in the segment."""

    record: Record
    line: bytes


def segment_path(folder: Path, first: int) -> Path:
    """The segment that begins with the record ``first``."""
    return folder / f"feedback-{first:015d}.ndjson"


def first_of(path: Path) -> int:
    """The sequence number of a segment's first record, by its name."""
    found = _NAME.fullmatch(path.name)
    assert found, path.name
    return int(found[1])


def segments_of(folder: Path) -> list[Path]:
    """All segments, in order."""
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def segments_after(folder: Path, after: int) -> list[Path]:
    """All segments, in order, but those that end with the record ``after`` or before."""
    paths = segments_of(folder)
    return [
        path
        for path, following in itertools.zip_longest(paths, paths[1:])
        if following is None or first_of(following) > after + 1
    ]


def sync_folder(folder: Path) -> None:
    """Make names that were given or taken in the folder last over a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class SegmentReader:
    """Reads the first ``size`` bytes of a segment, request by request, as far as they are whole.

    ``last_seq`` and ``whole_bytes`` say how far it has come.
    """

    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self.path, self.size = path, size
        self._file = file
        self._begin()

    def _begin(self) -> None:
        self.last_seq, self.whole_bytes, self.whole_lines = first_of(self.path) - 1, 0, 0

    def requests(self) -> Iterator[list[StoredRecord]]:
        """The records of each whole request, from the start; ends before the first that is not."""
        self._begin()
        request: list[StoredRecord] = []
        for line in self._lines(0):
            try:
                record = Record.of_line(line)
            except RecordError:
                return
            seq, part = self.last_seq + len(request) + 1, record.request
            goes_on = not request or part.id == request[0].record.request.id
            if record.seq != seq or part.part != len(request) + 1 or not goes_on:
                return
            request.append(StoredRecord(record, line))
            if part.part == part.parts:
                self.last_seq = seq
                self.whole_bytes += sum(len(one.line) for one in request)
                self.whole_lines += len(request)
                yield request
                request = []

    def check_rest(self, *, may_be_torn: bool) -> None:
        """After ``requests``: see whether what is left, if anything, can be a write that was never acknowledged.

        Raises:
            OutboxError: no: a segment was finished after it, or a later record knows of it.
        """
        if self.whole_bytes == self.size:
            return
        if not may_be_torn or any(synced > self.last_seq for synced in self._synced_in_rest()):
            raise OutboxError(
                f"{self.path}: line {self.whole_lines + 1} is damaged, and it was stored for good. Put the folder back from a "
                "backup, or set the folder aside and let SIGNAAL_SERVE_FEEDBACK_DIR name a new one."
            )

    def _synced_in_rest(self) -> Iterator[int]:
        for line in self._lines(self.whole_bytes):
            try:
                yield Record.of_line(line).synced
            except RecordError:
                continue

    def _lines(self, start: int) -> Iterator[bytes]:
        self._file.seek(start)
        while line := self._file.readline(self.size - start):
            start += len(line)
            yield line


@contextmanager
def opened(path: Path) -> Iterator[SegmentReader]:
    """A reader of what is in the segment for good, even while a server appends to it."""
    while True:
        with path.open("rb") as file:
            lock(file, shared=True)  # no write is under way
            if not is_current(file, path):
                continue
            os.fsync(file.fileno())
            reader = SegmentReader(path, file, os.fstat(file.fileno()).st_size)
            unlock(file)
            yield reader
            return


def stored_requests(folder: Path, after: int = 0) -> Iterator[list[StoredRecord]]:
    """Every request that was stored, in order; segments that end with the record ``after`` or before are passed over.

    Raises:
        OutboxError: something that was stored for good is damaged or missing.
    """
    paths = segments_after(folder, after)
    for path, following in itertools.zip_longest(paths, paths[1:]):
        with opened(path) as reader:
            yield from reader.requests()
            reader.check_rest(may_be_torn=following is None)
        if following is not None and first_of(following) != reader.last_seq + 1:
            raise OutboxError(f"{folder}: records {reader.last_seq + 1} to {first_of(following) - 1} are missing.")
