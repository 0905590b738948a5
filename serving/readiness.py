"""Whether scoring works now, and not only once, when the model was loaded; and whether only a new start could mend it."""

import asyncio

from serving.errors import NotReadyError
from serving.line import PROBE_TEXT, ScoringLine

MOST_FAILED = 5
"""So many batches may fail one after another: a few odd texts are no outage."""
PROBE_SECONDS = 5.0


def fatal_trouble(line: ScoringLine) -> str | None:
    """What only a new start of the process mends, in words; None when nothing of the kind is wrong."""
    if line.has_died:
        return "A thread of the scoring line has ended; the service must be started again."
    if line.is_stuck:
        return (
            f"The scoring line has been at one batch for more than {line.stuck_seconds:g} s; the service must be started again."
        )
    return None


def is_broken(line: ScoringLine) -> bool:
    """Whether a thread has ended or is stuck, or the last batches all failed."""
    return fatal_trouble(line) is not None or line.failed_batches >= MOST_FAILED


async def check_works(line: ScoringLine) -> None:
    """Return when the line can score.

    Raises:
        NotReadyError: says why it cannot.
    """
    if trouble := fatal_trouble(line):
        raise NotReadyError(trouble)
    if line.failed_batches < MOST_FAILED:
        return
    # Nobody sends ads to a service that is not ready, so it must find out by itself when scoring works again.
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await line.score([PROBE_TEXT], [None], evidence=False)
    except Exception as error:
        raise NotReadyError(f"Batch after batch fails, and so did a probe ({type(error).__name__}).") from None
