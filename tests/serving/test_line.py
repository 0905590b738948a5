import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from models.errors import BundleError
from models.runtime import Scorer
from models.scores import AdScore
from serving.errors import LineFullError, NotReadyError
from serving.line import PROBE_TEXT, ScoringLine

OpenClient = Callable[..., TestClient]


class Gated(Scorer):
    """The real scorer behind a gate: after the probe, each call waits until the gate is open."""

    def __init__(self, real: Scorer) -> None:
        super().__init__(real.runner, real.taxonomy, real.calibration, real.identity, metrics=real.metrics)
        self.gate, self.inside, self.seen = threading.Event(), threading.Event(), []  # type: ignore[var-annotated]

    def score(
        self,
        texts: Sequence[str],
        languages: Sequence[str | None] | None = None,
        *,
        labels: Collection[str] | None = None,
        evidence: bool = True,
    ) -> list[AdScore]:
        self.seen += texts
        if list(texts) != [PROBE_TEXT]:
            self.inside.set()
            assert self.gate.wait(30)
        return super().score(texts, languages, labels=labels, evidence=evidence)


@pytest.fixture
def gated(eager_scorer: Scorer) -> Iterator[Gated]:
    scorer = Gated(eager_scorer)
    yield scorer
    scorer.gate.set()


def until(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("not after 30 seconds")


def test_a_full_line_answers_503_at_once_and_says_when_to_come_again(open_client: OpenClient, gated: Gated) -> None:
    client = open_client(lambda: gated, max_waiting=2, retry_after_seconds=3)

    def ask(number: int) -> int:
        body = {"ads": [{"id": "a1", "text": f"Ad {number}"}], "evidence": False}
        return client.post("/v1/score", json=body).status_code

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(ask, 0)
        assert gated.inside.wait(30)
        waiting = [pool.submit(ask, number) for number in (1, 2)]
        for _ in range(200):  # both are in the line when a third is refused
            refused = client.post("/v1/score", json={"ads": [{"id": "a1", "text": " "}]})
            assert refused.status_code == 422, "a bad request is told so, full line or not"
            if client.app.state.line._jobs.full():  # type: ignore[attr-defined]
                break
            time.sleep(0.02)
        began = time.monotonic()
        answer = client.post("/v1/score", json={"ads": [{"id": "a1", "text": "One too many"}]})
        assert time.monotonic() - began < 5
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "3"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "urn:signaal:problem:busy"
        assert client.get("/readyz").status_code == 200
        gated.gate.set()
        assert [first.result(30), *(one.result(30) for one in waiting)] == [200, 200, 200]
    assert "One too many" not in gated.seen


def test_jobs_are_scored_in_order_and_a_caller_who_leaves_gives_up_the_place(gated: Gated) -> None:
    async def scene() -> None:
        line = ScoringLine(lambda: gated, 2)
        line.start()
        await asyncio.to_thread(until, lambda: line.model is not None)
        first = asyncio.create_task(line.score(["first"], [None]))
        await asyncio.to_thread(gated.inside.wait, 30)
        leaver = asyncio.create_task(line.score(["leaver"], [None]))
        last = asyncio.create_task(line.score(["last"], [None]))
        await asyncio.sleep(0)
        with pytest.raises(LineFullError, match="2 requests wait already"):
            await line.score(["too many"], [None])
        leaver.cancel()
        gated.gate.set()
        await asyncio.gather(first, last)
        line.stop()

    asyncio.run(scene())
    assert gated.seen == [PROBE_TEXT, "first", "last"]


def test_before_it_is_ready_nothing_is_taken(gated: Gated) -> None:
    line = ScoringLine(lambda: gated, 1)
    assert line.model is None
    with pytest.raises(NotReadyError, match="being loaded"):
        asyncio.run(line.score(["x"], [None]))


def test_a_failure_to_load_is_logged_told_and_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told: list[Exception] = []
    error = BundleError("heads.safetensors does not match its SHA-256.")

    def broken() -> Scorer:
        raise error

    line = ScoringLine(broken, 1, told.append)
    line.start()
    until(lambda: bool(told))
    assert told == [error]
    assert "No model: heads.safetensors" in caplog.text
    with pytest.raises(NotReadyError, match="could not be loaded"):
        _ = line.scorer


def test_a_model_that_cannot_score_the_probe_is_not_ready(eager_scorer: Scorer) -> None:
    class Dumb(Scorer):
        def score(self, *_: object, **__: object) -> list[AdScore]:
            raise ValueError("no")

    told: list[Exception] = []
    dumb = Dumb(eager_scorer.runner, eager_scorer.taxonomy, eager_scorer.calibration, eager_scorer.identity)
    line = ScoringLine(lambda: dumb, 1, told.append)
    line.start()
    until(lambda: bool(told))
    assert isinstance(told[0], ValueError)
    assert line.model is None
