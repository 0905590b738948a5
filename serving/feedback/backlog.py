"""What of an outbox no export has taken yet: how much, and since when.

``feedback export`` leaves the number of the last record that it took in a file beside the segments, for the figures alone: which
record an export begins with is said by whoever asks for it.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from serving.feedback.segments import first_of, segments_after

if TYPE_CHECKING:
    from serving.feedback.outbox import Outbox

_FILE = "exported"


@dataclass(frozen=True, slots=True)
class Backlog:
    """Records that no export took, the segments that hold them, the bytes of these, and when the oldest record came."""

    records: int
    segments: int
    bytes: int
    oldest: datetime | None

    @classmethod
    def of(cls, folder: Path, taken: int, last_seq: int, oldest: datetime | None) -> "Backlog":
        """Of a folder whose records up to ``taken`` were exported, and whose last one is ``last_seq``."""
        paths = segments_after(folder, taken) if taken < last_seq else []
        size = 0
        for path in paths:
            with suppress(FileNotFoundError):  # removed meanwhile
                size += path.stat().st_size
        before = max(taken, first_of(paths[0]) - 1) if paths else last_seq
        return cls(last_seq - before, len(paths), size, oldest)


def exported(folder: Path) -> int:
    """Number of the last record that an export took; 0 when none did."""
    try:
        return int((folder / _FILE).read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return 0


def note_exported(folder: Path, last: int) -> None:
    """Note that the records up to ``last`` were exported. An older note of later ones stays.

    Raises:
        OSError: the folder may not be written to.
    """
    if last <= exported(folder):
        return
    partial, owner = folder / f"{_FILE}.partial", folder.stat()
    with os.fdopen(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        os.fchown(file.fileno(), owner.st_uid, owner.st_gid)  # or a server could not read what root has noted
        file.write(f"{last}\n")
    partial.replace(folder / _FILE)


class BacklogMetrics(Collector):
    """Gauges of an outbox's backlog, read off when Prometheus asks; none while its folder is not taken."""

    def __init__(self, outbox: "Outbox") -> None:
        self._outbox = outbox

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All gauges, as they are now."""
        if (backlog := self._outbox.backlog()) is None:
            return
        age = 0.0 if backlog.oldest is None else (datetime.now(UTC) - backlog.oldest).total_seconds()
        for name, says, value in (
            ("records", "Records of feedback that no export has taken.", backlog.records),
            ("segments", "Segments that hold records that no export has taken.", backlog.segments),
            ("bytes", "Size of these segments.", backlog.bytes),
            ("seconds", "Age of the oldest record that no export has taken; 0 when there is none.", max(0.0, age)),
        ):
            yield GaugeMetricFamily(f"signaal_feedback_unexported_{name}", says, value)
