"""The line before a scorer: batches of many callers, bounds, and what happens when something fails."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from models.runtime import Scorer, WindowScore
from models.windows import Window
from serving.errors import LineFullError, LineStoppedError
from serving.line import ScoringLine
from tests.serving.conftest import Fussy, GatedRunner

OpenClient = Callable[..., TestClient]

TEXTS = [
    "Pickers wanted, your passport stays in the safe.",
    "Bakery seeks help, contract and collective wage. " * 4,
    "New girls every week, call the manager.",
    "Short.",
    "We pay the bus and take it from your wages, tell nobody. " * 40,
]


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("not after 12 seconds")


def test_each_caller_gets_what_the_scorer_alone_would_say(eager_scorer: Scorer) -> None:
    """Whoever else is in the batch; long ads of several windows too."""
    line = ScoringLine(eager_scorer, 1000, 60)

    async def scene() -> list[object]:
        asked = [line.score([text, TEXTS[i - 1]], [None, "en"]) for i, text in enumerate(TEXTS)]
        return list(await asyncio.gather(*asked, *[line.score([text], [None]) for text in TEXTS * 5]))

    found = asyncio.run(scene())
    line.stop()
    alone = {text: eager_scorer.score([text])[0] for text in TEXTS}
    for i, text in enumerate(TEXTS):
        first, second = found[i]  # type: ignore[misc]
        assert_alike(first, alone[text])
        assert_alike(second, alone[TEXTS[i - 1]], language="en")
    for text, (one,) in zip(TEXTS * 5, found[len(TEXTS) :], strict=True):  # type: ignore[misc]
        assert_alike(one, alone[text])


def assert_alike(one: object, other: object, language: str | None = None) -> None:
    for label, score in one.indicators.items():  # type: ignore[attr-defined]
        expected = other.indicators[label]  # type: ignore[attr-defined]
        assert score.probability == pytest.approx(expected.probability, abs=1e-4)
        assert [(s.start, s.end) for s in score.evidence] == [(s.start, s.end) for s in expected.evidence]
    assert one.language.code == (language or other.language.code)  # type: ignore[attr-defined]


def test_of_what_comes_while_a_batch_runs_the_same_words_are_scored_once(gated_scorer: Scorer, gated: GatedRunner) -> None:
    async def scene() -> None:
        line = ScoringLine(gated_scorer, 1000, 60)
        gated.shut()
        first = asyncio.create_task(line.score(["The first one."], [None]))
        await asyncio.to_thread(gated.inside.wait, 30)
        hyphened = f"{TEXTS[0][:2]}\u00ad{TEXTS[0][2:]}"  # a soft one, which nobody sees
        texts = [TEXTS[0], TEXTS[1], "passport" * 60, TEXTS[0], hyphened]
        others = [asyncio.create_task(line.score([text], [None])) for text in texts]
        await until(lambda: len(line._windows) == 3)
        gated.gate.set()
        await asyncio.gather(first, *others)
        line.stop()
        found = [one.result()[0].indicators["debt_or_fees"] for one in others]
        assert found[0] == found[3]
        assert found[4].probability == found[0].probability
        assert found[4].evidence[-1].end == found[0].evidence[-1].end + 1, "offsets are those of the text as it was sent"

    asyncio.run(scene())
    assert sum(len(batch) for batch in gated.batches) == 1 + 3, "three texts of the same words are one row"


def test_as_many_batches_run_side_by_side_as_the_scorer_welcomes(eager_scorer: Scorer) -> None:
    """And an ad whose windows come back from several threads is answered once, by all of them."""
    gated = GatedRunner(eager_scorer.runner, token_budget=1, callers=2)  # a batch a window
    two_at_a_time = Scorer(gated, eager_scorer.taxonomy, eager_scorer.calibration, eager_scorer.identity)

    async def scene() -> list[object]:
        line = ScoringLine(two_at_a_time, 1000, 60)
        gated.shut()
        asked = [asyncio.create_task(line.score([text], [None])) for text in TEXTS]
        windows = sum(len(eager_scorer.runner.window_maker.windows([text])) for text in TEXTS)
        await until(lambda: len(line._windows) == windows - 2)
        assert line._speed._running == 2
        gated.gate.set()
        found = [answer for (answer,) in await asyncio.gather(*asked)]
        line.stop()
        assert not any(thread.is_alive() for thread in line._threads)
        return found

    for text, answer in zip(TEXTS, asyncio.run(scene()), strict=True):
        assert_alike(answer, eager_scorer.score([text])[0])


def test_windows_of_one_ad_that_fail_at_once_fail_it_once_and_end_no_thread(eager_scorer: Scorer) -> None:
    both = threading.Barrier(2)

    class Failing(GatedRunner):
        def forward(self, windows: Sequence[Window]) -> list[WindowScore]:
            both.wait(10)
            raise MemoryError

    async def scene() -> None:
        gated = GatedRunner(eager_scorer.runner, token_budget=1, callers=2)
        line = ScoringLine(Scorer(gated, eager_scorer.taxonomy, eager_scorer.calibration, eager_scorer.identity), 1000, 60)
        gated.__class__ = Failing
        for _ in range(50):
            with pytest.raises(MemoryError):
                await line.score(["two windows " * 170], [None])
        assert not line.has_died
        line.stop()

    asyncio.run(scene())


def test_an_error_that_nobody_foresaw_ends_a_thread_and_leaves_nobody_waiting(
    eager_scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise SystemError

    line = ScoringLine(eager_scorer, 1000, 60)
    monkeypatch.setattr(line.observer, "batch_done", fail)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with pytest.raises(SystemError):
        asyncio.run(asyncio.wait_for(line.score(["An ad."], [None]), 10))
    asyncio.run(until(lambda: line.has_died))  # right after its caller was told
    began = time.monotonic()
    line.stop(10)
    assert time.monotonic() - began < 5, "and the others end when they are told to"
    assert not any(thread.is_alive() for thread in line._threads)


def test_a_caller_who_leaves_gives_up_the_place(gated_scorer: Scorer, gated: GatedRunner) -> None:
    async def scene() -> None:
        line = ScoringLine(gated_scorer, 1000, 60)
        gated.shut()
        first = asyncio.create_task(line.score(["first"], [None]))
        await asyncio.to_thread(gated.inside.wait, 30)
        leaver = asyncio.create_task(line.score(["leaver " * 9], [None]))
        last = asyncio.create_task(line.score(["last"], [None]))
        await until(lambda: len(line._windows) == 2)
        leaver.cancel()
        await until(lambda: line.waiting_ads == 2)
        gated.gate.set()
        await asyncio.gather(first, last)
        assert line.waiting_ads == 0
        line.stop()

    asyncio.run(scene())
    assert [len(batch) for batch in gated.batches] == [1, 1]
    assert max(len(window) for batch in gated.batches for window in batch) < 9


def test_too_many_ads_are_refused_but_a_large_request_to_an_idle_line_is_not(gated_scorer: Scorer, gated: GatedRunner) -> None:
    async def scene() -> None:
        line = ScoringLine(gated_scorer, 3, 60)
        assert len(await line.score(["a", "b", "c", "d"], [None] * 4)) == 4
        gated.shut()
        waiting = asyncio.create_task(line.score(["first", "second"], [None, None]))
        await asyncio.to_thread(gated.inside.wait, 30)
        with pytest.raises(LineFullError, match="2 ads wait already; at most 3 may") as refused:
            await line.score(["x", "y"], [None, None])
        assert refused.value.retry_after >= 1
        third = asyncio.create_task(line.score(["third"], [None]))
        await asyncio.sleep(0)
        gated.gate.set()
        await asyncio.gather(waiting, third)
        line.stop()

    asyncio.run(scene())


def test_a_wait_that_would_be_too_long_is_refused_at_once(gated_scorer: Scorer, gated: GatedRunner) -> None:
    async def scene() -> None:
        line = ScoringLine(gated_scorer, 1000, max_seconds=30)
        gated.shut()
        first = asyncio.create_task(line.score(["first"], [None]))
        await asyncio.to_thread(gated.inside.wait, 30)
        line._speed.tokens_per_second = 10.0
        second = asyncio.create_task(line.score(["word " * 200], [None]))
        await until(lambda: line.expected_wait > 10)
        with pytest.raises(LineFullError, match="longer than the 5 s") as refused:
            await line.score(["x"], [None], patience=5)
        assert refused.value.retry_after == pytest.approx(line.expected_wait - 5, abs=1.1)
        patient = asyncio.create_task(line.score(["y"], [None], patience=1000))
        await asyncio.sleep(0.05)
        assert not patient.done()
        gated.gate.set()
        await asyncio.gather(first, second, patient)
        line.stop()

    asyncio.run(scene())


def test_whoever_is_not_served_in_time_is_told(gated_scorer: Scorer, gated: GatedRunner) -> None:
    async def scene() -> None:
        line = ScoringLine(gated_scorer, 1000, 60)
        gated.shut()
        first = asyncio.create_task(line.score(["first"], [None]))
        await asyncio.to_thread(gated.inside.wait, 30)
        hasty = asyncio.create_task(line.score(["hasty"], [None], patience=0.1))
        await asyncio.sleep(0.3)
        gated.gate.set()
        await first
        with pytest.raises(LineFullError, match="did not come in the time"):
            await hasty
        line.stop()

    asyncio.run(scene())


def test_one_text_that_fails_costs_nobody_else(gated_scorer: Scorer, gated: GatedRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where the graph fails on a whole batch, nor where an answer cannot be made."""
    real = gated.forward

    def choosy(windows: list[object]) -> list[object]:
        if any(len(window) > 60 for window in windows):  # type: ignore[arg-type]
            raise ValueError("too long for me")
        return real(windows)  # type: ignore[arg-type, return-value]

    async def scene() -> None:
        line = ScoringLine(Fussy(gated_scorer, lambda text: "poison" in text), 1000, 60)
        gated.shut()
        monkeypatch.setattr(gated, "forward", choosy)
        texts = ["good", "poison", "word " * 80, "good as well"]
        asked = [asyncio.create_task(line.score([text], [None])) for text in texts]
        await asyncio.to_thread(gated.inside.wait, 30)
        gated.gate.set()
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(one) for one in found] == [list, RuntimeError, ValueError, list]
        line.stop()

    asyncio.run(scene())


def test_stopping_answers_what_waits_and_takes_nothing_more(gated_scorer: Scorer, gated: GatedRunner) -> None:
    async def scene() -> None:
        line = ScoringLine(gated_scorer, 1000, 60)
        gated.shut()
        asked = [asyncio.create_task(line.score([text], [None])) for text in TEXTS]
        await asyncio.to_thread(gated.inside.wait, 30)
        stopping = asyncio.create_task(asyncio.to_thread(line.stop))
        await until(lambda: line._stopped)
        with pytest.raises(LineStoppedError):
            await line.score(["too late"], [None])
        gated.gate.set()
        assert all(len(found) == 1 for found in await asyncio.gather(*asked))
        await stopping
        assert not any(thread.is_alive() for thread in line._threads)

    asyncio.run(scene())


def test_over_http_a_full_line_answers_503_at_once_and_says_when_to_come_again(
    open_client: OpenClient, gated_scorer: Scorer, gated: GatedRunner
) -> None:
    client = open_client(lambda: gated_scorer, max_waiting_ads=1)
    gated.shut()
    body = {"ads": [{"id": "a1", "text": "Ad"}], "evidence": False}
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/v1/score", json=body)
        assert gated.inside.wait(30)
        refused = client.post("/v1/score", json={"ads": [{"id": "a1", "text": " "}]})
        assert refused.status_code == 422, "a bad request is told so, full line or not"
        began = time.monotonic()
        answer = client.post("/v1/score", json={"ads": [{"id": "a1", "text": "One too many"}]})
        assert time.monotonic() - began < 5
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "urn:signaal:problem:busy"
        assert client.get("/readyz").status_code == 200
        gated.gate.set()
        assert first.result(30).status_code == 200
