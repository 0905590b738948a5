"""Locks on files, between processes (flock). The kernel lets go of them when a process ends, however it ends."""

import os
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: two processes with one file are then not noticed
    fcntl = None  # type: ignore[assignment]


def lock(file: IO[bytes] | int, *, shared: bool = False) -> None:
    """Wait until the file is free, and take it; with others who want it ``shared``, too."""
    if fcntl:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)


def try_lock(file: IO[bytes] | int) -> None:
    """Take the file for this process alone.

    Raises:
        BlockingIOError: somebody else has it.
    """
    if fcntl:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def unlock(file: IO[bytes] | int) -> None:
    """Let go of the file; closing it does so, too."""
    if fcntl:
        fcntl.flock(file, fcntl.LOCK_UN)


def is_current(file: IO[bytes], path: Path) -> bool:
    """Whether the open ``file`` is still what stands at ``path``: another process may have put a new one there."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
