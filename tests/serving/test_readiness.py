"""Ready means that scoring works now."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from models.runtime import Scorer
from serving.readiness import MOST_FAILED
from tests.serving.conftest import GatedRunner
from tests.serving.exposition import Exposition
from tests.waiting import until

OpenClient = Callable[..., TestClient]

SECRET = "geheimtekst"


def ask(client: TestClient, text: str = "An ad.") -> int:
    return client.post("/v1/score", json={"ads": [{"id": "a", "text": text}], "evidence": False}).status_code


class Switch:
    """Makes a runner fail, or stop failing."""

    def __init__(self, runner: GatedRunner, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fails = False
        real = runner.forward

        def forward(windows: Any) -> Any:
            if self.fails:
                raise MemoryError(SECRET)
            return real(windows)

        monkeypatch.setattr(runner, "forward", forward)


@pytest.fixture
def switch(gated: GatedRunner, monkeypatch: pytest.MonkeyPatch) -> Switch:
    return Switch(gated, monkeypatch)


def test_when_batch_after_batch_fails_it_is_not_ready_until_scoring_works_again(
    open_client: OpenClient, gated_scorer: Scorer, switch: Switch
) -> None:
    client = open_client(lambda: gated_scorer)
    switch.fails = True
    for failed in range(1, MOST_FAILED + 1):
        assert client.get("/readyz").status_code == 200, f"after {failed - 1}"
        assert ask(client) == 500
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:signaal:problem:not-ready"
    assert answer.json()["detail"] == "Batch after batch fails, and so did a probe (MemoryError)."
    assert SECRET not in answer.text
    assert Exposition(client).value("signaal_state", state="broken") == 1
    assert client.get("/healthz").status_code == 200
    switch.fails = False
    assert client.get("/readyz").status_code == 200, "nobody sent an ad in between"
    assert Exposition(client).value("signaal_state", state="ready") == 1


def test_a_text_that_fails_now_and_then_is_no_outage(open_client: OpenClient, gated_scorer: Scorer, switch: Switch) -> None:
    client = open_client(lambda: gated_scorer)
    for _ in range(MOST_FAILED):
        switch.fails = True
        assert ask(client) == 500
        switch.fails = False
        assert ask(client) == 200
    assert client.get("/readyz").status_code == 200


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_when_a_thread_of_the_line_has_died_it_is_not_ready_wants_a_new_start_and_nobody_waits_for_ever(
    open_client: OpenClient, gated_scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_client(lambda: gated_scorer)
    line = client.app.state.fleet.pick().line  # type: ignore[attr-defined]

    def die() -> None:
        raise SystemError

    monkeypatch.setattr(line._windows, "take", die)
    assert ask(client) == 200, "the thread is within the old one still"
    (graph,) = [thread for thread in line._threads if thread.name == "signaal-graph-0"]
    graph.join(10)
    assert not graph.is_alive()
    for answer in (client.get("/readyz"), client.post("/v1/score", json={"ads": [{"id": "a", "text": "An ad."}]})):
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:signaal:problem:not-ready"
        assert "must be started again" in answer.json()["detail"]
    lives = client.get("/healthz")
    assert lives.status_code == 503
    assert lives.json()["type"] == "urn:signaal:problem:broken"
    assert lives.json()["detail"] == "A thread of the scoring line has ended; the service must be started again."
    assert int(lives.headers["retry-after"]) > 0
    assert Exposition(client).value("signaal_state", state="broken") == 1


def test_when_a_batch_hangs_it_wants_a_new_start_until_the_batch_ends_after_all(
    open_client: OpenClient, gated_scorer: Scorer, gated: GatedRunner
) -> None:
    client = open_client(lambda: gated_scorer, stuck_seconds=0.3)
    gated.shut()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, client)
        assert gated.inside.wait(30)
        until(lambda: client.get("/healthz").status_code == 503)
        for path, slug in (("/healthz", "broken"), ("/readyz", "not-ready")):
            problem = client.get(path).json()
            assert problem["type"] == f"urn:signaal:problem:{slug}"
            assert "at one batch for more than 0.3 s; the service must be started again" in problem["detail"]
        assert Exposition(client).value("signaal_state", state="broken") == 1
        gated.gate.set()
        assert asked.result(30) == 200
    assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200


def test_a_batch_that_takes_its_time_is_no_trouble(open_client: OpenClient, gated_scorer: Scorer, gated: GatedRunner) -> None:
    client = open_client(lambda: gated_scorer, stuck_seconds=30)
    gated.shut()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, client)
        assert gated.inside.wait(30)
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        gated.gate.set()
        assert asked.result(30) == 200


def test_a_line_that_was_told_to_stop_has_not_died(open_client: OpenClient, eager_scorer: Scorer) -> None:
    client = open_client(lambda: eager_scorer)
    client.app.state.stopping.set()  # type: ignore[attr-defined]
    client.app.state.fleet.stop()  # type: ignore[attr-defined]
    assert client.get("/healthz").status_code == 200


def test_while_it_is_being_stopped_nothing_new_is_taken(open_client: OpenClient, eager_scorer: Scorer) -> None:
    client = open_client(lambda: eager_scorer, retry_after_seconds=3)
    client.app.state.stopping.set()  # type: ignore[attr-defined]
    asked = [
        client.get("/readyz"),
        client.get("/v1/model"),
        client.get("/"),
        client.post("/v1/score", json={"ads": [{"id": "a", "text": "An ad."}]}),
        client.post("/v1/score", content=b"not even JSON"),
        client.post("/v1/score/stream", content=b"{}", headers={"Content-Type": "application/x-ndjson"}),
    ]
    for answer in asked:
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:signaal:problem:stopping"
        assert answer.headers["retry-after"] == "3"
        assert answer.headers["connection"] == "close"
    assert client.get("/healthz").status_code == 200
    found = Exposition(client)
    assert found.value("signaal_state", state="stopping") == found.value("signaal_state") == 1
    assert found.value("signaal_rejected_total", reason="stopping") == len(asked)
