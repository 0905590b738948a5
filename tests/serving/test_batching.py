"""What waits for the graph, and how it is put together."""

import time

from hypothesis import given
from hypothesis import strategies as st

from models.windows import Window
from serving.batching import MOST_PADDING, Job, Row, WindowQueue, nearest_in_length


def window(length: int, first: int = 0) -> Window:
    return Window(0, [first, *range(1, length)], [-1] * length, [-1] * length)


def job(*windows: Window, deadline: float = float("inf")) -> Job:
    return Job(["x"], [None], None, False, deadline, windows=list(windows))


def padding(rows: list[Row]) -> float:
    padded = len(rows) * max(lengths(rows))
    return (padded - sum(lengths(rows))) / padded


def lengths(rows: list[Row]) -> list[int]:
    return [len(row) for row in rows]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.integers(1, 2000))
def test_a_batch_holds_the_longest_waiting_row_and_keeps_to_the_budget(sizes: list[int], budget: int) -> None:
    rows = [Row(window(size), []) for size in sizes]
    batch = nearest_in_length(rows, budget)
    assert rows[0] in batch
    assert len(set(map(id, batch))) == len(batch)
    assert len(batch) == 1 or max(lengths(batch)) * len(batch) <= budget
    left = [row for row in rows if row not in batch]
    between = [row for row in left if min(lengths(batch)) < len(row) < max(lengths(batch))]
    assert not between, "a row nearer in length was passed over"
    assert padding(batch) <= MOST_PADDING
    for row in left:
        larger = [*batch, row]
        assert max(lengths(larger)) * len(larger) > budget or padding(larger) > MOST_PADDING, "there was room for it"


def test_the_nearest_in_length_fill_the_batch() -> None:
    rows = [Row(window(size), []) for size in (20, 200, 22, 100, 18, 21)]
    assert lengths(nearest_in_length(rows, 90)) == [18, 20, 21, 22]
    assert lengths(nearest_in_length(rows[1:], 90)) == [200], "longer than the budget: alone"


def test_the_same_tokens_are_one_row_for_all_who_want_them() -> None:
    waiting = WindowQueue(1000)
    one, other = job(window(10), window(12)), job(window(10))
    waiting.put(one)
    waiting.put(other)
    assert (len(waiting), waiting.tokens) == (2, 22)
    rows, late = waiting.take()
    assert (lengths(rows), late, waiting.tokens) == ([10, 12], [], 0)
    assert [len(row.wanted_by) for row in rows] == [2, 1]
    assert rows[0].give("score") == [other]  # type: ignore[arg-type]
    assert rows[1].give("score") == [one]  # type: ignore[arg-type]


def test_a_job_that_is_late_or_has_left_is_dropped_but_not_one_that_was_begun() -> None:
    waiting = WindowQueue(token_budget=10)
    past = time.monotonic() - 1
    late, left, begun = job(window(5), deadline=past), job(window(6)), job(window(7), deadline=past)
    begun.begun = True
    left.answer.cancel()
    for one in (late, left, begun):
        waiting.put(one)
    rows, dropped = waiting.take()
    assert (lengths(rows), dropped) == ([7], [late])


def test_a_row_that_another_still_wants_stays() -> None:
    waiting = WindowQueue(1000)
    gone, there = job(window(5)), job(window(5))
    waiting.put(gone)
    waiting.put(there)
    gone.answer.cancel()
    ((row,), _) = waiting.take()
    assert row.wanted_by == [(there, 0)]


def test_a_closed_queue_gives_what_waits_and_then_nothing() -> None:
    waiting = WindowQueue(10)
    waiting.put(job(window(5), window(6)))
    waiting.close()
    assert not waiting.is_over
    assert [lengths(waiting.take()[0]) for _ in range(3)] == [[5], [6], []]
    assert waiting.is_over
