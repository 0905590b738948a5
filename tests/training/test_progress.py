"""Progress of long work, on a terminal and in a log file."""

import logging
from types import SimpleNamespace

import pytest

from training import progress
from training.progress import with_progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds pass between any two looks at the clock."""
    now = iter(range(0, 10_000, 10))
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: float(next(now))))


@pytest.mark.usefixtures("clock")
def test_off_a_terminal_a_line_now_and_then_says_how_far_it_is(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert list(with_progress("abcdefgh", "Scoring")) == list("abcdefgh")
    assert [record.getMessage() for record in caplog.records] == [
        "Scoring: 25% done, about 0:01:30 left.",
        "Scoring: 62% done, about 0:00:36 left.",
    ]


def test_on_a_terminal_a_bar(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with caplog.at_level(logging.INFO):
        assert list(with_progress("abc", "Scoring")) == ["a", "b", "c"]
    assert "Scoring" in capsys.readouterr().err
    assert not caplog.records
