"""Erases what is stored of an ad, while a server may be running.

A segment is written anew beside the old one and takes its place in one step, so a kill leaves the one or the other. The
segment is locked meanwhile; the server's next write waits, and then finds the new file. What stays of an erased record is
its number and the digest of its request's key: numbers must have no gaps, and a repeated request must not bring it back.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from serving.errors import OutboxError
from serving.feedback.export import check_folder
from serving.feedback.segments import SegmentReader, StoredRecord, segments_of, sync_folder
from serving.file_lock import is_current, lock, try_lock, unlock

_NEW = ".new"


def erase(folder: Path, ad_id: str) -> int:
    """Erase every finding for an ad; returns how many there were.

    Raises:
        OutboxError: there is no such folder, another erasure is under way, or a segment is damaged.
    """
    check_folder(folder)
    count = 0
    with _alone(folder):
        for left in folder.glob(f"*{_NEW}"):  # by an erasure that was killed
            left.unlink()
        done: set[Path] = set()
        while paths := [path for path in segments_of(folder) if path not in done]:  # the server may begin new ones meanwhile
            for path in paths:
                count += _erase_from(path, ad_id)
                done.add(path)
    return count


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    # The folder itself is the lock: a file would belong to whoever erases first, perhaps root, and be shut to the others.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            try_lock(descriptor)
        except BlockingIOError as error:
            raise OutboxError(f"Another erasure is under way in {folder}; try again when it has ended.") from error
        yield
    finally:
        os.close(descriptor)


def _erase_from(path: Path, ad_id: str) -> int:
    while True:
        with path.open("rb") as file:
            lock(file)
            if not is_current(file, path):
                continue
            reader = SegmentReader(path, file, os.fstat(file.fileno()).st_size)
            count = sum(_is_of(ad_id, one) for request in reader.requests() for one in request)
            is_last = path == segments_of(path.parent)[-1]
            reader.check_rest(may_be_torn=is_last)
            # A torn tail may hold the id, too, and was never acknowledged.
            if count or reader.whole_bytes < reader.size:
                _write_anew(reader, ad_id, os.fstat(file.fileno()))
            unlock(file)
            return count


def _write_anew(reader: SegmentReader, ad_id: str, status: os.stat_result) -> None:
    path, now = reader.path, datetime.now(UTC)
    new = path.with_name(path.name + _NEW)
    try:
        with os.fdopen(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            os.fchown(file.fileno(), status.st_uid, status.st_gid)  # or a server could not read what root has erased
            for request in reader.requests():
                touched = any(_is_of(ad_id, one) for one in request)
                for one in request:
                    file.write(_without(one, erased=_is_of(ad_id, one), now=now) if touched else one.line)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _without(one: StoredRecord, *, erased: bool, now: datetime) -> bytes:
    """The record's line without what tells of the ad: all of the item, and the digest of the body that it was part of."""
    changes: dict[str, object] = {"request": one.record.request.model_copy(update={"body": None})}
    if erased:
        changes |= {"item": None, "erased_at": now}
    return one.record.model_copy(update=changes).line()


def _is_of(ad_id: str, one: StoredRecord) -> bool:
    return one.record.item is not None and one.record.item.id == ad_id
