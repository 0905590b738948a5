"""The minute's limit, and what answers say of limits."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.keys.limits import TokenBucket, policy_header, seconds_until_midnight, state_header


class Clock:
    """Goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_minutes_worth_may_be_taken_at_once_and_then_as_time_goes() -> None:
    clock = Clock()
    bucket = TokenBucket(60, clock)
    assert bucket.take(60) == 0
    assert bucket.take(1) == pytest.approx(1)
    assert (bucket.remaining, bucket.seconds_until_full) == (0, pytest.approx(60))
    clock.now += 1
    assert bucket.take(1) == 0
    clock.now += 3600
    assert (bucket.remaining, bucket.seconds_until_full) == (60, 0)


def test_more_than_a_minutes_worth_passes_when_the_bucket_is_full_and_is_waited_off() -> None:
    clock = Clock()
    bucket = TokenBucket(30, clock)
    assert bucket.take(64) == 0
    assert bucket.remaining == 0
    assert bucket.take(1) == pytest.approx(35 * 2)
    clock.now += 70
    assert bucket.take(1) == 0


def test_what_is_given_back_can_be_taken_again_and_never_overflows() -> None:
    bucket = TokenBucket(10, Clock())
    bucket.take(10)
    bucket.give_back(4)
    assert bucket.remaining == 4
    bucket.give_back(100)
    assert bucket.remaining == 10


@given(st.integers(1, 100), st.lists(st.tuples(st.floats(0, 30), st.integers(1, 64)), max_size=60))
def test_never_more_than_the_rate_and_one_burst(per_minute: int, requests: list[tuple[float, int]]) -> None:
    clock = Clock()
    bucket, began, taken, largest = TokenBucket(per_minute, clock), clock.now, 0, 0
    for pause, ads in requests:
        clock.now += pause
        if bucket.take(ads) == 0:
            taken, largest = taken + ads, max(largest, ads)
        allowed = per_minute + (clock.now - began) * per_minute / 60
        assert taken <= allowed + max(0, largest - per_minute) + 1e-6


@given(st.integers(1, 1000), st.integers(1, 64), st.integers(1, 64))
def test_the_wait_that_it_names_is_enough(per_minute: int, first: int, second: int) -> None:
    clock = Clock()
    bucket = TokenBucket(per_minute, clock)
    bucket.take(first)
    if wait := bucket.take(second):
        clock.now += wait + 1e-6
        assert bucket.take(second) == 0


def test_the_day_ends_at_midnight_in_utc() -> None:
    assert seconds_until_midnight(datetime(2026, 11, 28, 23, 59, 30, tzinfo=UTC)) == 30
    assert seconds_until_midnight(datetime(2026, 11, 28, 0, 0, tzinfo=UTC)) == 86_400
    assert seconds_until_midnight(datetime(2026, 11, 28, 23, 59, 59, 999_999, tzinfo=UTC)) == 1
    assert seconds_until_midnight(datetime(2026, 11, 29, 0, 59, tzinfo=timezone(timedelta(hours=1)))) == 60


def test_headers_say_both_limits_or_nothing() -> None:
    assert policy_header(60, 900) == {
        "RateLimit-Policy": '"ads-per-minute";q=60;qu="ads";w=60, "ads-per-day";q=900;qu="ads";w=86400'
    }
    assert policy_header(None, 900) == {"RateLimit-Policy": '"ads-per-day";q=900;qu="ads";w=86400'}
    assert policy_header(None, None) == {}
    assert state_header({"ads-per-minute": (3, 56.2)}) == {"RateLimit": '"ads-per-minute";r=3;t=57'}
    assert state_header({}) == {}
