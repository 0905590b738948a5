"""Limits a minute and a day, as a caller meets them."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from models.runtime import Scorer
from models.scores import AdScore
from serving.app import create_app
from serving.client import ProblemResponse, RefusedLine, SignaalClient
from serving.errors import LineStoppedError, NotReadyError
from serving.keys import guard as guard_module
from serving.keys.allowance import Allowance
from serving.keys.store import KeyStore, Scope
from serving.settings import ServingSettings
from tests.serving.conftest import Fussy, GatedRunner, only
from tests.serving.feedback.conftest import records
from tests.serving.keys.conftest import bearer, shown
from tests.serving.listening import listening

OpenServed = Callable[..., AbstractContextManager[str]]
OpenKeyed = Callable[..., TestClient]
OpenClient = Callable[..., TestClient]

SCORE = {Scope.SCORE}


@pytest.fixture
def served(eager_scorer: Scorer, tmp_path: Path) -> OpenServed:
    """Opens a real server that demands the keys of ``sqlite_store``; gives its address."""

    def start(scorer: Scorer = eager_scorer, **settings: Any) -> AbstractContextManager[str]:
        chosen = ServingSettings(auth="keys", database_url=SecretStr(f"sqlite:///{tmp_path}/keys.db"), **settings)
        return listening(create_app(only(lambda: scorer), chosen))

    return start


class Unready(Fussy):
    """The real scorer, but the first time that it meets a text the service is not ready."""

    def __init__(self, real: Scorer, text: str) -> None:
        super().__init__(real, lambda _: False)
        self.text, self.is_due = text, True

    def answer(self, text: str, *args: Any, **kwargs: Any) -> AdScore:
        if text == self.text and self.is_due:
            self.is_due = False
            raise NotReadyError("Not now.")
        return super().answer(text, *args, **kwargs)


def today_used(store: KeyStore, key_id: str) -> int:
    return store.used(key_id, datetime.now(UTC).date())


def ask(client: TestClient, token: str, ads: int = 1) -> httpx.Response:
    body = {"ads": [{"id": str(i), "text": f"Ad {i}"} for i in range(ads)], "indicators": ["debt_or_fees"], "evidence": False}
    answer: httpx.Response = client.post("/v1/score", json=body, headers=bearer(token))
    return answer


def stream(client: TestClient, token: str, lines: int) -> list[dict[str, Any]]:
    body = b"\n".join(json.dumps({"text": f"Ad {i}"}).encode() for i in range(lines))
    query = "?indicators=debt_or_fees&evidence=false"
    answer = client.post(
        f"/v1/score/stream{query}", content=body, headers={"Content-Type": "application/x-ndjson", **bearer(token)}
    )
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_key_without_limits_hears_of_none(keyed: OpenKeyed, sqlite_store: KeyStore) -> None:
    _, token = sqlite_store.create("desk", SCORE)
    answer = ask(keyed(), token, 64)
    assert answer.status_code == 200
    assert not {"ratelimit", "ratelimit-policy"} & set(answer.headers)


def test_each_ad_counts_and_too_many_a_minute_are_told_when_to_come_back(keyed: OpenKeyed, sqlite_store: KeyStore) -> None:
    _, token = sqlite_store.create("desk", SCORE, ads_per_minute=12)
    client = keyed()
    first = ask(client, token, 10)
    assert first.status_code == 200
    assert first.headers["ratelimit-policy"] == '"ads-per-minute";q=12;qu="ads";w=60'
    assert first.headers["ratelimit"].startswith('"ads-per-minute";r=2;t=')
    refused = ask(client, token, 10)
    assert (refused.status_code, refused.headers["content-type"]) == (429, "application/problem+json")
    assert refused.json()["type"] == "urn:signaal:problem:too-many-requests"
    wait = int(refused.headers["retry-after"])
    assert 1 <= wait <= 40
    assert refused.headers["ratelimit"] == f'"ads-per-minute";r=2;t={wait}', "the draft wants both to say the same moment"
    assert ask(client, token, 2).status_code == 200, "what is left may be had"


def test_a_days_quota_is_refused_whole_and_told_until_midnight(keyed: OpenKeyed, sqlite_store: KeyStore) -> None:
    made, token = sqlite_store.create("desk", SCORE, ads_per_minute=20, ads_per_day=10)
    client = keyed()
    assert '"ads-per-day";r=2;t=' in ask(client, token, 8).headers["ratelimit"]
    refused = ask(client, token, 3)
    assert refused.status_code == 429
    assert refused.json()["type"] == "urn:signaal:problem:quota-used-up"
    assert "2 are left" in refused.json()["detail"]
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert '"ads-per-day";r=2;t=' in refused.headers["ratelimit"]
    assert '"ads-per-minute";r=12;' in refused.headers["ratelimit"], "what was refused costs nothing"
    assert ask(client, token, 2).status_code == 200
    assert today_used(sqlite_store, made.id) == 10


def test_a_quota_holds_when_the_server_starts_again(keyed: OpenKeyed, sqlite_store: KeyStore) -> None:
    _, token = sqlite_store.create("desk", SCORE, ads_per_day=10)
    assert ask(keyed(), token, 8).status_code == 200
    assert ask(keyed(), token, 8).status_code == 429
    assert ask(keyed(), token, 2).status_code == 200


def test_facts_cost_nothing(keyed: OpenKeyed, sqlite_store: KeyStore) -> None:
    made, token = sqlite_store.create("desk", SCORE, ads_per_minute=1, ads_per_day=1)
    client = keyed()
    for _ in range(3):
        answer = client.get("/v1/model", headers=bearer(token))
        assert answer.status_code == 200
        assert "ratelimit" not in answer.headers
        assert '"ads-per-day";q=1' in answer.headers["ratelimit-policy"]
    assert client.post("/v1/score", json={"ads": []}, headers=bearer(token)).status_code == 422
    assert today_used(sqlite_store, made.id) == 0


def send(client: TestClient, token: str, items: int, key: str = "k1", status: str = "present") -> httpx.Response:
    body = {"items": [{"id": str(i), "labels": {"debt_or_fees": status}} for i in range(items)]}
    answer: httpx.Response = client.post("/v1/feedback", json=body, headers={"Idempotency-Key": key, **bearer(token)})
    return answer


def test_feedback_counts_by_its_items_against_the_same_limits_as_scoring(
    keyed: OpenKeyed, sqlite_store: KeyStore, tmp_path: Path
) -> None:
    made, token = sqlite_store.create("desk", {Scope.SCORE, Scope.FEEDBACK}, ads_per_minute=12, ads_per_day=30)
    client = keyed(feedback_dir=tmp_path / "feedback")
    assert ask(client, token, 4).status_code == 200
    first = send(client, token, 6)
    assert first.status_code == 202
    assert '"ads-per-minute";r=2;t=' in first.headers["ratelimit"]
    assert '"ads-per-day";r=20;t=' in first.headers["ratelimit"]
    refused = send(client, token, 6, "k2")
    assert (refused.status_code, refused.json()["type"]) == (429, "urn:signaal:problem:too-many-requests")
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["detail"].startswith("This key may send 12 ads a minute;")
    assert today_used(sqlite_store, made.id) == 10
    assert len(records(tmp_path / "feedback")) == 6, "what was refused is not stored"


def test_feedback_beyond_the_day_is_refused_whole(keyed: OpenKeyed, sqlite_store: KeyStore, tmp_path: Path) -> None:
    _, token = sqlite_store.create("desk", {Scope.FEEDBACK}, ads_per_day=5)
    client = keyed(feedback_dir=tmp_path / "feedback")
    assert send(client, token, 6).json()["type"] == "urn:signaal:problem:quota-used-up"
    assert send(client, token, 5).status_code == 202


def test_feedback_that_is_not_stored_is_given_back(keyed: OpenKeyed, sqlite_store: KeyStore, tmp_path: Path) -> None:
    made, token = sqlite_store.create("desk", {Scope.FEEDBACK}, ads_per_day=100)
    client = keyed(feedback_dir=tmp_path / "feedback")
    assert send(client, token, 3).status_code == 202
    assert send(client, token, 3, status="absent").status_code == 422, "another body under the same key"
    assert today_used(sqlite_store, made.id) == 3


def test_what_was_not_scored_is_given_back(
    open_client: OpenClient, eager_scorer: Scorer, sqlite_store: KeyStore, tmp_path: Any
) -> None:
    made, token = sqlite_store.create("desk", SCORE, ads_per_minute=1000, ads_per_day=100)
    client = open_client(
        lambda: Fussy(eager_scorer, lambda text: text == "Ad 1"), auth="keys", database_url=f"sqlite:///{tmp_path}/keys.db"
    )
    assert ask(client, token, 5).status_code == 500
    assert today_used(sqlite_store, made.id) == 0
    assert '"ads-per-minute";r=999;' in ask(client, token, 1).headers["ratelimit"]
    assert today_used(sqlite_store, made.id) == 1


def test_who_is_told_that_the_line_is_full_pays_nothing(
    open_client: OpenClient, gated_scorer: Scorer, gated: GatedRunner, sqlite_store: KeyStore, tmp_path: Any
) -> None:
    made, token = sqlite_store.create("desk", SCORE, ads_per_day=100)
    client = open_client(lambda: gated_scorer, auth="keys", database_url=f"sqlite:///{tmp_path}/keys.db", max_waiting_ads=4)
    gated.shut()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, client, token, 4)
        assert gated.inside.wait(30)
        busy = ask(client, token, 4)
        gated.gate.set()
        assert busy.status_code == 503
        assert '"ads-per-day";r=96;' in busy.headers["ratelimit"]
        assert waiting.result(30).status_code == 200
    assert today_used(sqlite_store, made.id) == 4


def test_a_stream_waits_for_its_minute_and_every_line_is_scored(keyed: OpenKeyed, sqlite_store: KeyStore) -> None:
    made, token = sqlite_store.create("desk", SCORE, ads_per_minute=600, ads_per_day=5000)
    client = keyed()
    assert ask(client, token, 64).status_code == 200
    guard = client.app.state.guard  # type: ignore[attr-defined]
    guard.bucket_of(made).take(530)
    began = time.monotonic()
    lines = stream(client, token, 20)
    assert [one["line"] for one in lines] == list(range(1, 21))
    assert all("indicators" in one for one in lines)
    assert time.monotonic() - began > 1.0, "six were left, and ten come back a second"
    assert today_used(sqlite_store, made.id) == 84


def test_who_waits_for_its_minute_waits_no_longer_than_it_may(keyed: OpenKeyed, sqlite_store: KeyStore) -> None:
    made, token = sqlite_store.create("desk", SCORE, ads_per_minute=1, ads_per_day=10)
    guard = keyed().app.state.guard  # type: ignore[attr-defined]

    async def scene() -> None:
        allowance, ended = Allowance(guard, shown(token)), threading.Event()
        await allowance.take(1)
        waiting = asyncio.create_task(allowance.take(1, ended.is_set))
        await asyncio.sleep(0.7)
        assert not waiting.done()
        ended.set()
        with pytest.raises(LineStoppedError):
            await asyncio.wait_for(waiting, 5)

    asyncio.run(scene())
    assert today_used(sqlite_store, made.id) == 1


def test_the_end_of_a_day_ends_a_stream_after_the_answers_that_were_paid(served: OpenServed, sqlite_store: KeyStore) -> None:
    made, token = sqlite_store.create("desk", SCORE, ads_per_day=3)
    body = b'nonsense\n{"text": "a"}\n{"text": "b"}\n{"text": "c"}\n{"text": "d"}\n{"text": " "}\n{"text": "e"}\n'
    headers = {"Content-Type": "application/x-ndjson", **bearer(token)}
    lines: list[dict[str, Any]] = []
    with (
        served() as url,
        httpx.stream("POST", f"{url}/v1/score/stream", content=body, headers=headers, timeout=30) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        lines.extend(json.loads(line) for line in answer.iter_lines())
    *answers, last = lines
    assert [(one["line"], "problem" in one) for one in answers] == [(1, True), (2, False), (3, False), (4, False)]
    assert set(last) == {"problem", "retry_after"}
    assert last["problem"]["type"] == "urn:signaal:problem:quota-used-up"
    assert 0 < last["retry_after"] <= 86_400
    assert today_used(sqlite_store, made.id) == 3


def test_a_line_that_the_service_cannot_answer_ends_the_stream_and_is_given_back(
    served: OpenServed, eager_scorer: Scorer, sqlite_store: KeyStore
) -> None:
    made, token = sqlite_store.create("desk", SCORE, ads_per_minute=1000, ads_per_day=1000)
    scorer = Unready(eager_scorer, "Ad 7")
    ads = [{"id": str(i), "text": f"Ad {i}"} for i in range(40)]
    with served(scorer, retry_after_seconds=1) as url, SignaalClient(url, api_key=token) as client:
        answers = list(client.score_stream(ads, evidence=False))
    assert not scorer.is_due
    assert [one.id for one in answers] == [ad["id"] for ad in ads], "in order, though the seventh was answered by a second stream"
    assert not any(isinstance(one, RefusedLine) for one in answers)
    assert today_used(sqlite_store, made.id) == 40


def test_a_line_that_cannot_be_scored_costs_nothing(keyed: OpenKeyed, sqlite_store: KeyStore) -> None:
    made, token = sqlite_store.create("desk", SCORE, ads_per_day=3)
    headers = {"Content-Type": "application/x-ndjson", **bearer(token)}
    answer = keyed().post("/v1/score/stream", content=b'nonsense\n{"text": " "}\n{"text": "Ad"}', headers=headers)
    assert [("problem" in json.loads(line)) for line in answer.text.splitlines()] == [True, True, False]
    assert today_used(sqlite_store, made.id) == 1


def test_a_revoked_key_ends_a_stream_that_runs(
    served: OpenServed, sqlite_store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_module, "GOOD_FOR_SECONDS", 0.0)
    made, token = sqlite_store.create("desk", SCORE, ads_per_day=10)

    def ads() -> Iterator[dict[str, str]]:
        yield {"id": "before", "text": "Ad 1"}
        while today_used(sqlite_store, made.id) == 0:
            time.sleep(0.01)
        sqlite_store.revoke(made.id)
        yield {"id": "after", "text": "Ad 2"}

    with served() as url, SignaalClient(url, api_key=token) as client:
        answers = client.score_stream(ads())
        assert next(answers).id == "before"
        with pytest.raises(ProblemResponse) as ended:
            next(answers)
    assert ended.value.problem.type == "urn:signaal:problem:no-valid-key"
    assert today_used(sqlite_store, made.id) == 1
