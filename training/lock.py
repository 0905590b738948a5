"""A folder that one process at a time works in: a run's, or a search's.

The lock (flock) is on a file in the folder. The kernel lets go of it when the process ends, however it ends: what was killed can
go on at once.
"""

import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from training.errors import TrainingError

try:
    import fcntl
except ImportError:  # Windows: two processes in one folder are then not noticed
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

LOCK = "lock"
"""The file's name. It stays when the lock is let go of: another process may already have opened it."""

_held: set[TextIO] = set()


@contextmanager
def alone_in(folder: Path, what: str) -> Iterator[None]:
    """Within, no other process, and nobody else in this one, is in the folder, which is made if need be.

    Args:
        folder: where.
        what: is under way there, for the message.

    Raises:
        TrainingError: another process is there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        _take(file.fileno(), folder, what)
        _held.add(file)
        try:
            file.truncate(0)
            file.write(f"{os.getpid()} on {platform.node()}")
            file.flush()
            yield
        finally:
            _held.discard(file)


def _take(file: int, folder: Path, what: str) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = (folder / LOCK).read_text(encoding="utf-8")
        raise TrainingError(
            f"{what} is under way in another process ({holder or 'which has just begun'}). Wait until it ends, or stop it first."
        ) from None
    except OSError as error:  # some network file systems have no locks; that is no reason not to train
        log.warning("%s cannot be locked (%s): see that no other process works in it.", folder, error.strerror)


def _let_go_in_child() -> None:
    """A child by fork shares the lock: one that outlives a killed parent would keep it. Closing the child's end lets the parent
    keep the lock."""
    for file in _held:
        file.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)
