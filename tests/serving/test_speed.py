import time
from threading import Barrier, Thread

import pytest

from serving.speed import ENOUGH, NEWS, Speed


def measured(speed: Speed) -> float:
    """The last measurement, from what it did to the estimate, which was 0 before."""
    return speed.tokens_per_second / NEWS


def test_it_is_the_tokens_over_the_time_in_which_anything_was_at_work() -> None:
    speed = Speed(0)
    for _ in range(2):
        with speed.of(500):
            time.sleep(0.6 * ENOUGH)
        time.sleep(0.3)  # nothing to do
    assert 400 / ENOUGH < measured(speed) < 1000 / (1.2 * ENOUGH)


def test_batches_side_by_side_count_together() -> None:
    speed, together = Speed(0), Barrier(2)

    def work() -> None:
        together.wait()
        with speed.of(500):
            together.wait()
            time.sleep(1.5 * ENOUGH)
            together.wait()

    threads = [Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert speed._running == 0
    assert speed._tokens + measured(speed) * 1.5 * ENOUGH > 700, "the time is counted once, the tokens of both"


def test_a_batch_that_fails_does_not_make_it_faster() -> None:
    speed = Speed(100)
    with pytest.raises(ValueError, match="no"), speed.of(10**9):
        raise ValueError("no")
    with speed.of(1):
        time.sleep(1.2 * ENOUGH)
    assert speed.tokens_per_second < 100
