"""How many cores there are to use."""

import os
from pathlib import Path


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """How many cores this process may use: those it is kept to, or fewer where its container has a limit (Linux control groups,
    version 2; ``quota`` holds microseconds and the period they are for). Two threads of one core count once."""
    if hasattr(os, "sched_getaffinity"):
        cores = len({_siblings(number) for number in os.sched_getaffinity(0)})
    else:
        cores = os.cpu_count() or 1
    try:
        allowed, period = quota.read_text().split()
        return max(1, min(cores, int(allowed) // int(period)))
    except (OSError, ValueError):  # no such file, or no limit ("max")
        return cores


def _siblings(number: int) -> str:
    """The processors that share a core with this one, as Linux names them."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(number)
