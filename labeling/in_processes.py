"""Long work on many ads, by several processes."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from multiprocessing import get_context
from typing import TypeVar

from models.cores import usable_cores

FEW = 4
"""Batches for which starting processes is not worth it."""
MOST_PROCESSES = 8

Batch = TypeVar("Batch")
Result = TypeVar("Result")


def in_processes(work: Callable[[Batch], Result], batches: Iterator[Batch]) -> Iterator[Result]:
    """What ``work`` makes of each batch, in order. From ``FEW`` batches on there is a process for each core at hand, and they are
    a few batches ahead of whoever takes the results; ``work`` and batches must be such as can be pickled."""
    first = list(islice(batches, FEW))
    if len(first) < FEW:
        yield from map(work, first)
        return
    processes = min(usable_cores(), MOST_PROCESSES)
    # Not forked: the program may have threads, and a lock that one of them holds would never be free in the child.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting: list[Future[Result]] = []
        for batch in chain(first, batches):
            waiting.append(pool.submit(work, batch))
            if len(waiting) > 2 * processes:
                yield waiting.pop(0).result()
        for one in waiting:
            yield one.result()
