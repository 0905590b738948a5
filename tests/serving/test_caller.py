"""What a caller tells beside the body."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import Request
from fastapi.testclient import TestClient

from models.runtime import Scorer
from serving.caller import patience_of, unless_left
from serving.errors import CallerLeftError
from tests.serving.conftest import GatedRunner

OpenClient = Callable[..., TestClient]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("wait=10", 10), ("respond-async, wait=3", 3), ('Wait="7"; x=1', 7), ("await=10", None), ("wait=soon", None), ("", None)],
)
def test_patience_is_read_from_prefer(said: str, seconds: float | None) -> None:
    request = Request({"type": "http", "headers": [(b"prefer", said.encode())]})
    assert patience_of(request) == seconds


def test_an_impatient_caller_is_told_at_once_that_it_would_take_longer(
    open_client: OpenClient, gated_scorer: Scorer, gated: GatedRunner
) -> None:
    client = open_client(lambda: gated_scorer)
    gated.shut()
    body = {"ads": [{"id": "a1", "text": "word " * 300}], "evidence": False}
    with ThreadPoolExecutor(2) as pool:
        first = [pool.submit(client.post, "/v1/score", json=body) for _ in range(2)]
        assert gated.inside.wait(30)
        client.app.state.fleet.pick().line._tokens_per_second = 1.0  # type: ignore[attr-defined]
        while client.app.state.fleet.pick().line.waiting_ads < 2:  # type: ignore[attr-defined]
            pass
        other = {"ads": [{"id": "a1", "text": "another " * 300}]}
        pool.submit(client.post, "/v1/score", json=other)
        while client.app.state.fleet.pick().line.expected_wait < 2:  # type: ignore[attr-defined]
            pass
        refused = client.post("/v1/score", json={"ads": [{"id": "a1", "text": "x"}]}, headers={"Prefer": "wait=1"})
        gated.gate.set()
        assert refused.status_code == 503
        assert "longer than the 1 s" in refused.json()["detail"]
        assert [one.result(30).status_code for one in first] == [200, 200]


def test_work_for_a_caller_who_has_gone_is_cancelled() -> None:
    async def scene() -> None:
        gone, cancelled = asyncio.Event(), asyncio.Event()

        async def receive() -> dict[str, str]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def work() -> int:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                cancelled.set()
                raise
            return 1

        async def quick() -> int:
            return 2

        request = Request({"type": "http"}, receive)  # type: ignore[arg-type]
        assert await unless_left(request, quick()) == 2
        asking = asyncio.create_task(unless_left(request, work()))
        await asyncio.sleep(0.01)
        gone.set()
        with pytest.raises(CallerLeftError):
            await asking
        await asyncio.wait_for(cancelled.wait(), 5)

    asyncio.run(scene())
