"""Several processes that train one model together (torchrun, accelerate launch): who is the first, and how all agree.

Each process runs the whole program. What leaves a trace (MLflow, bundle, report) is the first one's alone; what decides how
training goes on (a clock, the run's id) is decided by the first one and told to the others.
"""

import os
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

T = TypeVar("T")


def process_count() -> int:
    """Processes that train together, as the launcher says; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this is the process that logs, saves and reports."""
    return int(os.environ.get("RANK", "0")) == 0


def from_first(value: T) -> T:
    """What the first process has for ``value``, in every process. All must call it. Without a launcher it is ``value``."""
    if process_count() == 1:
        return value
    PartialState(**backend())
    values: list[Any] = [value]
    broadcast_object_list(values, from_process=0)
    return values[0]


def backend() -> dict[str, Any]:
    """How processes speak with one another: gloo on CPUs, else what accelerate chooses for the device."""
    return {} if torch.cuda.is_available() or process_count() == 1 else {"cpu": True, "backend": "gloo"}
