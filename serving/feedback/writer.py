"""Appends to the last segment of an outbox, such that a write is on disk for good or leaves nothing behind."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.errors import OutboxError
from serving.feedback.segments import SegmentReader, segment_path, segments_of, sync_folder
from serving.file_lock import is_current, lock, unlock


class SegmentWriter:
    """The one writer of a folder. Not thread-safe.

    Args:
        folder: where the segments are.
        last_seq: the last record that counts; what stands after it is cut off.
        segment_bytes: a segment of this size or more gets nothing more.
    """

    def __init__(self, folder: Path, last_seq: int, segment_bytes: int) -> None:
        self.last_seq = last_seq
        self._folder, self._segment_bytes = folder, segment_bytes
        paths = segments_of(folder)
        self._path = paths[-1] if paths else None
        self._file: io.FileIO | None = None
        self._size: int | None = None
        """Bytes that count; None while that must be found out."""

    def cut(self) -> int:
        """Cut off what stands after the last record that counts; returns how many bytes."""
        if self._path is None:
            return 0
        before = self._path.stat().st_size
        with self._last_segment():
            assert self._size is not None
            return before - self._size

    def append(self, lines: list[bytes]) -> None:
        """Write records and wait until they are on disk.

        Raises:
            OSError: they are not; nothing of them counts, and the next call begins where this one began.
            OutboxError: records that were stored are gone.
        """
        if self._path is None or (self._size is not None and self._size >= self._segment_bytes):
            self._begin_segment()
        with self._last_segment() as file:
            assert self._size is not None
            data = memoryview(b"".join(lines))
            try:
                written = 0
                while written < len(data):
                    written += file.write(data[written:]) or 0
                os.fsync(file.fileno())
            except BaseException:
                self._undo(file, self._size)
                raise
            self._size += len(data)
            self.last_seq += len(lines)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
        self._file = self._size = None

    def _begin_segment(self) -> None:
        path = segment_path(self._folder, self.last_seq + 1)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        sync_folder(self._folder)
        self.close()
        self._path = path

    @contextmanager
    def _last_segment(self) -> Iterator[io.FileIO]:
        """The last segment, locked, with nothing in it that does not count."""
        assert self._path is not None
        while True:
            if self._file is None:
                self._file = io.FileIO(os.open(self._path, os.O_RDWR | os.O_APPEND), "r+")
            file = self._file
            lock(file)
            try:
                if is_current(file, self._path):
                    if self._size is None:
                        self._size = self._cut(file, self._path)
                    yield file
                    return
            finally:
                if not file.closed:
                    unlock(file)
            self.close()  # something was erased from it: there is a new file at its place

    def _cut(self, file: io.FileIO, path: Path) -> int:
        size = os.fstat(file.fileno()).st_size
        counts, last_seq = 0, None
        with path.open("rb") as source:
            reader = SegmentReader(path, source, size)
            last_seq = reader.last_seq
            for _ in reader.requests():
                if reader.last_seq > self.last_seq:
                    break
                counts, last_seq = reader.whole_bytes, reader.last_seq
        if last_seq != self.last_seq:
            raise OutboxError(f"{path} ends with record {last_seq}, but {self.last_seq} was stored. Put it back from a backup.")
        if counts < size:
            file.truncate(counts)
            os.fsync(file.fileno())
        return counts

    def _undo(self, file: io.FileIO, size: int) -> None:
        try:
            file.truncate(size)
            os.fsync(file.fileno())
        except OSError:
            self.close()  # what counts is found out before the next write
