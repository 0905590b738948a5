"""One line of a file, whatever the format: an ad to score, or the reason why it cannot be scored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serving.schemas import Ad


@dataclass(frozen=True, slots=True)
class Place:
    """Where to go on reading: ``done`` bytes (rows, for Parquet) and ``line`` lines (rows) lie behind."""

    done: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """What one line (one CSV record, one Parquet row) says.

    ``ad`` is None where ``reason`` says why it cannot be scored; ``kept`` then holds what is needed to find or mend it.
    ``line`` counts from 1; for a CSV record of several lines it is the first.
    """

    line: int
    after: Place
    ad: Ad | None = None
    reason: str = ""
    kept: Mapping[str, Any] | None = None
