"""What a caller tells beside the body."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from httpx import Response

from models.runtime import Scorer
from serving.caller import patience_of, unless_left
from serving.errors import CallerLeftError
from tests.serving.conftest import GatedRunner
from tests.waiting import until

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
    line = client.app.state.fleet.pick().line  # type: ignore[attr-defined]
    gated.shut()

    def ask(text: str, **headers: str) -> Response:
        return client.post("/v1/score", json={"ads": [{"id": "a1", "text": text}], "evidence": False}, headers=headers)

    with ThreadPoolExecutor(2) as pool:
        inside = pool.submit(ask, "word " * 30)
        assert gated.inside.wait(30)
        waiting = pool.submit(ask, "another " * 30)
        until(lambda: line.waiting_tokens > 0)
        line._speed.tokens_per_second = 1.0
        refused = ask("x", Prefer="wait=1")
        gated.gate.set()
        assert refused.status_code == 503
        assert "longer than the 1 s" in refused.json()["detail"]
        assert [one.result(30).status_code for one in (inside, waiting)] == [200, 200]


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
