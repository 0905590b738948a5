import os
from collections.abc import Iterator

from labeling.in_processes import FEW, in_processes


def doubled(batch: list[int]) -> tuple[int, list[int]]:
    return os.getpid(), [2 * number for number in batch]


def test_a_few_batches_need_no_other_process() -> None:
    assert list(in_processes(doubled, iter([[1, 2], [3]]))) == [(os.getpid(), [2, 4]), (os.getpid(), [6])]
    assert list(in_processes(doubled, iter([]))) == []


def test_many_batches_come_out_in_order_from_other_processes_and_are_not_all_read_at_once() -> None:
    read = 0

    def batches() -> Iterator[list[int]]:
        nonlocal read
        for number in range(100 * FEW):
            read += 1
            yield [number]

    results = in_processes(doubled, batches())
    process, first = next(results)
    assert (process != os.getpid(), first) == (True, [0])
    assert read < 100 * FEW
    assert [number for _, (number,) in results] == list(range(2, 200 * FEW, 2))
