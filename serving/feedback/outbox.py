"""Takes feedback in and keeps it until labelling takes it: what was acknowledged is on disk for good, and is there once.

One thread writes. While it waits for the disk, requests gather, and the next write takes all of them: many share one sync.
Idempotency keys are kept in memory, as digests, for as long as their records are in the folder.
"""

import errno
import hashlib
import json
import logging
import os
import threading
import uuid
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from serving.errors import KeyReusedError, LineFullError, NotStoredError, OutboxError
from serving.feedback.backlog import Backlog, exported
from serving.feedback.record import Record, RequestPart
from serving.feedback.schemas import FeedbackItem
from serving.feedback.segments import stored_requests, sync_folder
from serving.feedback.writer import SegmentWriter
from serving.file_lock import try_lock

log = logging.getLogger("signaal.serve")

SEGMENT_BYTES = 16 * 1024 * 1024
MOST_WAITING = 1024
"""Items that may wait for the disk at once."""
RETRY_BUSY = 1
RETRY_DISK = 30


@dataclass(frozen=True, slots=True)
class Submission:
    """One request's feedback. Its key and body are kept as digests only: they may hold what nobody should read."""

    key_digest: str
    body_digest: str
    caller: str | None
    taxonomy: str
    items: Sequence[FeedbackItem]

    @classmethod
    def of(cls, key: str, body: Any, caller: str | None, taxonomy: str, items: Sequence[FeedbackItem]) -> "Submission":
        """A request's feedback.

        Args:
            key: the idempotency key; each caller has keys of its own.
            body: the request's JSON; white space and the order of fields do not make another body.
            caller: the id of the caller's API key, where there are such keys.
            taxonomy: the version whose labels are meant.
            items: what is to be stored.
        """
        plain = json.dumps(body, sort_keys=True, separators=(",", ":"))
        return cls(_digest(f"{caller or ''}\n{key}"), _digest(plain), caller, taxonomy, items)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Under which sequence numbers a request was stored."""

    body_digest: str | None
    first: int
    last: int


class Outbox:
    """The folder of feedback; nothing is touched until it is opened.

    Args:
        folder: made when it is not there.
        segment_bytes: how large a segment may become before the next is begun.
    """

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder, self._segment_bytes = folder, segment_bytes
        self._opening = threading.Lock()
        self._changed = threading.Condition()
        self._receipts: dict[str, Receipt] = {}
        self._pending: dict[str, tuple[Submission, Future[Receipt]]] = {}
        self._arrivals: deque[tuple[int, datetime]] = deque()
        """The last record of each write, and when it came; without those that were seen to be exported."""
        self._waiting: list[Submission] = []
        self._waiting_items = 0
        self._writer: SegmentWriter | None = None
        self._lock_file: BinaryIO | None = None
        self._thread: threading.Thread | None = None
        self._id = uuid.uuid4().hex[:12]
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Whether the folder was taken."""
        return self._writer is not None

    def open(self) -> None:
        """Take the folder for this process, find what is in it, and cut off what was never acknowledged.

        Raises:
            OutboxError: another server has the folder, it cannot be used, or it is damaged.
        """
        with self._opening:
            if self._writer is not None:
                return
            try:
                self._writer = self._take_folder()
            except OSError as error:
                self._let_go()
                said = f"{error.filename or self._folder}: {error.strerror or error}."
                raise OutboxError(f"Feedback cannot be kept. {said} SIGNAAL_SERVE_FEEDBACK_DIR names the folder.") from error
            except BaseException:
                self._let_go()
                raise
            self._thread = threading.Thread(target=self._work, name="signaal-feedback", daemon=True)
            self._thread.start()

    def submit(self, submission: Submission) -> "Future[Receipt]":
        """Store feedback; the result is there once it is on disk. What came before under the same key is not stored again.
        The outbox must be open.

        Raises (here or as the future's error):
            KeyReusedError: another body came under the key.
            LineFullError: too many wait for the disk.
            NotStoredError: the disk did not take it; nothing of it was kept.
        """
        with self._changed:
            future: Future[Receipt] = Future()
            future.set_running_or_notify_cancel()  # a caller who leaves must not cancel it for another who waits for it, too
            if (receipt := self._receipts.get(submission.key_digest)) is not None:
                _check_body(submission, receipt.body_digest)
                future.set_result(receipt)
                return future
            if (pending := self._pending.get(submission.key_digest)) is not None:
                _check_body(submission, pending[0].body_digest)
                return pending[1]
            if self._closed:
                raise NotStoredError("The service is being stopped.", RETRY_BUSY)
            if self._waiting and self._waiting_items + len(submission.items) > MOST_WAITING:
                raise LineFullError(f"{self._waiting_items} items of feedback wait for the disk already.", RETRY_BUSY)
            self._pending[submission.key_digest] = submission, future
            self._waiting.append(submission)
            self._waiting_items += len(submission.items)
            self._changed.notify()
            return future

    def backlog(self) -> Backlog | None:
        """What no export has taken yet; None while the folder is not taken."""
        if self._writer is None:
            return None
        taken = exported(self._folder)
        with self._changed:
            while self._arrivals and self._arrivals[0][0] <= taken:
                self._arrivals.popleft()
            last_seq = self._arrivals[-1][0] if self._arrivals else taken
            oldest = self._arrivals[0][1] if self._arrivals else None
        return Backlog.of(self._folder, taken, last_seq, oldest)

    def close(self) -> None:
        """Store what waits, then let go of the folder."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        if self._writer is not None:
            self._writer.close()
        self._let_go()

    def _take_folder(self) -> SegmentWriter:
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(self._folder.parent)
        self._lock_file = os.fdopen(os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR, 0o600), "r+b")
        try:
            try_lock(self._lock_file)
        except BlockingIOError as error:
            raise OutboxError(
                f"Another server keeps its feedback in {self._folder}; each needs a folder of its own. "
                "Stop the other, or let SIGNAAL_SERVE_FEEDBACK_DIR name another folder."
            ) from error
        last_seq = 0
        for request in stored_requests(self._folder):
            first, last = request[0].record, request[-1].record
            self._receipts[first.request.id] = Receipt(first.request.body, first.seq, last.seq)
            self._id, last_seq = first.outbox, last.seq
            self._arrivals.append((last.seq, first.received_at))
        writer = SegmentWriter(self._folder, last_seq, self._segment_bytes)
        if cut := writer.cut():
            log.warning("%s: %d bytes of a write that was never acknowledged were cut off.", self._folder, cut)
        return writer

    def _let_go(self) -> None:
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    def _work(self) -> None:
        while batch := self._next_batch():
            try:
                receipts = self._store(batch)
            except Exception as error:
                self._settle(batch, _told(error))
            else:
                self._settle(batch, receipts)

    def _next_batch(self) -> list[Submission]:
        """Everything that waits, at least one; nothing once the outbox is closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            batch, self._waiting, self._waiting_items = self._waiting, [], 0
            return batch

    def _store(self, batch: list[Submission]) -> list[Receipt]:
        assert self._writer is not None
        now, synced = datetime.now(UTC), self._writer.last_seq
        lines: list[bytes] = []
        receipts = []
        for one in batch:
            first = synced + len(lines) + 1
            for part, item in enumerate(one.items, start=1):
                record = Record(
                    outbox=self._id,
                    seq=synced + len(lines) + 1,
                    synced=synced,
                    received_at=now,
                    request=RequestPart(id=one.key_digest, body=one.body_digest, part=part, parts=len(one.items)),
                    key=one.caller,
                    taxonomy=one.taxonomy,
                    item=item,
                )
                lines.append(record.line())
            receipts.append(Receipt(one.body_digest, first, synced + len(lines)))
        self._writer.append(lines)
        with self._changed:
            self._arrivals.append((self._writer.last_seq, now))
        return receipts

    def _settle(self, batch: list[Submission], outcome: list[Receipt] | Exception) -> None:
        with self._changed:
            futures = [self._pending.pop(one.key_digest)[1] for one in batch]
            if not isinstance(outcome, Exception):
                self._receipts |= {one.key_digest: receipt for one, receipt in zip(batch, outcome, strict=True)}
        for place, future in enumerate(futures):
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome[place])


def _told(error: Exception) -> Exception:
    """The error that a caller is told; the log is told more."""
    if isinstance(error, OSError):
        log.error("Feedback cannot be stored: %s.", error.strerror or type(error).__name__)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        why = "the disk is full" if full else "the disk does not take it"
        return NotStoredError(f"It was not stored, because {why}. Nothing of it was kept; send it again later.", RETRY_DISK)
    if isinstance(error, OutboxError):
        log.error("Feedback cannot be stored: %s", error)
        return NotStoredError("It was not stored; the service's log says why. Send it again later.", RETRY_DISK)
    return error


def _check_body(submission: Submission, body_digest: str | None) -> None:
    if submission.body_digest != body_digest:
        raise KeyReusedError("This key came before with another body, or with one of which a part has been erased since.")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
