"""When a call is made again, and after how long."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.client.errors import BadAnswerError, NoAnswerError, ProblemResponse
from serving.client.retries import FIRST_SECONDS, LONGEST_SECONDS, Retries, seconds_of
from serving.problem_document import Problem


def busy(status: int = 503, retry_after: float | None = None) -> ProblemResponse:
    return ProblemResponse(Problem(type="about:blank", title="Busy", status=status, detail="Later."), retry_after)


@given(st.integers(0, 100), st.one_of(st.none(), st.floats(0, 1000)))
def test_a_pause_is_what_is_asked_for_and_a_jitter_that_doubles_up_to_its_limit(failures: int, least: float | None) -> None:
    retries = Retries(budget=1e6)
    for _ in range(failures):
        retries.pause_after(NoAnswerError("cut"))
    pause = retries.pause_after(busy(retry_after=least))
    assert (least or 0) <= pause <= (least or 0) + min(LONGEST_SECONDS, FIRST_SECONDS * 2**failures)


def test_callers_who_failed_together_do_not_come_back_together() -> None:
    pauses = {Retries(budget=1e6).pause_after(busy(retry_after=7)) for _ in range(50)}
    assert len(pauses) > 40
    assert min(pauses) >= 7


@pytest.mark.parametrize("error", [busy(400), busy(401), busy(409), busy(422), busy(500), BadAnswerError("what?")])
def test_what_another_try_cannot_help_is_raised_as_it_is(error: ProblemResponse | BadAnswerError) -> None:
    with pytest.raises(type(error)) as raised:
        Retries(budget=1e6).pause_after(error)
    assert raised.value is error


def test_no_pause_goes_beyond_the_budget() -> None:
    assert Retries(budget=0.01).pause_after(NoAnswerError("cut")) <= 0.01
    with pytest.raises(ProblemResponse):
        Retries(budget=5).pause_after(busy(retry_after=6))
    with pytest.raises(NoAnswerError):
        Retries(budget=0).pause_after(NoAnswerError("cut"))


def test_retry_after_is_a_number_or_a_date_by_the_clock_of_the_server() -> None:
    assert seconds_of("12") == 12
    assert seconds_of(formatdate(1_000_030, usegmt=True), formatdate(1_000_000, usegmt=True)) == 30
    assert seconds_of(formatdate(1_000_000, usegmt=True), formatdate(1_000_030, usegmt=True)) == 0
    assert seconds_of("soon") is seconds_of(None) is None
