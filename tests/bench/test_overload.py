"""What the overload benchmark lets pass and what it does not."""

from collections import Counter
from typing import Any

import pytest

from tests.bench.overload import Seen, broken_bounds

ALONE = [0.03] * 95 + [0.04] * 5
FILLING = [1.0 + 0.01 * second for second in range(60)]
STEADY = [1.6, 1.61] * 120


def seen(**changes: Any) -> Seen:
    fine = {"statuses": Counter({200: 900, 503: 1100}), "memory": FILLING + STEADY}
    return Seen(**fine | changes)


def test_a_run_in_which_all_is_well_passes() -> None:
    assert broken_bounds(seen(), ALONE, [1.4 * one for one in ALONE]) == []
    assert broken_bounds(seen(statuses=Counter({200: 5, 503: 1}), memory=[1.0, 1.05] * 10), ALONE, ALONE) == [], "half a minute"


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "another status": ({"statuses": Counter({200: 900, 503: 1100, 500: 1})}, "other statuses than 200 and 503: {500: 1}"),
    "no overload": ({"statuses": Counter({200: 2000})}, "nothing was refused: this was no overload"),
    "nothing scored": ({"statuses": Counter({503: 2000})}, "nothing was scored"),
    "no answer": ({"broken": Counter({"ReadError": 1})}, "requests without an answer: {'ReadError': 1}"),
    "no Retry-After": ({"without_retry_after": 1}, "503 without Retry-After: 1"),
    "a wrong answer": ({"wrong": 1}, "wrong or mixed answers: 1"),
    "a leak": ({"memory": FILLING + [1.6 + 0.0005 * i for i in range(240)]}, "memory grew by 0.12 GB after the warm-up"),
    "no look at memory": ({"memory": [1.0] * 12}, "memory was looked at 6 times after the warm-up; 10 are needed"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_each_broken_bound_is_named(what: str) -> None:
    changes, says = BROKEN[what]
    assert broken_bounds(seen(**changes), ALONE, ALONE) == [says]


def test_who_is_slow_after_the_load_has_not_recovered() -> None:
    slow = [1.6 * one for one in ALONE]
    assert broken_bounds(seen(), ALONE, slow) == ["single requests after the load took 1.6 times as long as before (p95)"]
    assert broken_bounds(seen(), ALONE, [*ALONE[:98], 5.0, 5.0]) == [], "two of a hundred are not the p95"
