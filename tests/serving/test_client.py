"""The Python client against real servers."""

import asyncio
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.runtime import Scorer
from serving.answers import LimitsOut
from serving.app import create_app
from serving.client import AsyncSignaalClient, BadAnswerError, NoAnswerError, ProblemResponse, SignaalClient
from serving.client.messages import encoded_ad, score_calls
from serving.settings import ServingSettings
from tests.serving.conftest import only
from tests.serving.listening import Script, listening, scripted

ROOT = Path(__file__).parents[2]
SECRET = "geheimtekst"
ADS = [{"id": f"n{i}", "text": f"Ad {i}: your passport stays here until the {i}00 are paid."} for i in range(8)]
MODEL = {"name": "signaal", "version": "1", "bundle_digest": "d", "run_id": None, "taxonomy_version": "1.0"}


@pytest.fixture(scope="module")
def url(eager_scorer: Scorer) -> Iterator[str]:
    with listening(create_app(only(lambda: eager_scorer), ServingSettings(max_ads=3))) as url:
        yield url


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as script:
        yield script


def problem(status: int, **headers: str) -> tuple[int, dict[str, str], bytes]:
    body = {"type": "urn:signaal:problem:busy", "title": "Busy", "status": status, "detail": "Later."}
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(body).encode()


def test_importing_the_client_brings_in_neither_model_nor_server() -> None:
    heavy = "torch onnxruntime transformers fastapi starlette uvicorn mlflow numpy tokenizers regex pydantic_settings sqlalchemy"
    code = f"import sys, serving.client; print([name for name in '{heavy}'.split() if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_more_ads_than_a_request_holds_go_out_as_several_and_keep_their_order(url: str, eager_scorer: Scorer) -> None:
    with SignaalClient(url) as client:
        results = client.score(iter(ADS), indicators=["debt_or_fees"], evidence=False)
        assert client.score([]) == []
    assert [(one.line, one.id) for one in results] == [(i + 1, f"n{i}") for i in range(8)]
    for one, alone in zip(results, eager_scorer.score([ad["text"] for ad in ADS]), strict=True):
        assert list(one.indicators) == ["debt_or_fees"]
        assert one.indicators["debt_or_fees"].evidence == []
        assert one.indicators["debt_or_fees"].probability == pytest.approx(alone.indicators["debt_or_fees"].probability, abs=1e-4)
        assert one.model.bundle_digest == eager_scorer.identity.bundle_digest


@given(
    st.lists(st.text(max_size=30).map(lambda text: {"id": "x", "text": text}), max_size=20),
    st.integers(1, 5),
    st.integers(150, 400),
)
def test_every_request_keeps_to_the_limits_and_none_loses_an_ad(ads: list[dict[str, str]], most: int, size: int) -> None:
    limits = LimitsOut(max_ads=most, max_characters=30, max_body_bytes=size)
    encoded = [encoded_ad(ad) for ad in ads]
    seen: list[dict[str, str]] = []
    for first, call in score_calls(encoded, limits, indicators=None, evidence=True, model="champion", wait=None):
        body = json.loads(call.content or b"")
        assert first == len(seen)
        assert len(body["ads"]) <= most
        assert len(call.content or b"") <= size or len(body["ads"]) == 1
        assert (body["evidence"], body["model"]) == (True, "champion")
        seen += body["ads"]
    assert seen == ads


def test_a_model_is_named_by_alias_version_or_digest(url: str, eager_scorer: Scorer) -> None:
    with SignaalClient(url) as client:
        (served,) = client.models().models
        assert served.aliases == ["champion"]
        for name in ("champion", served.model.version, served.model.bundle_digest[:8]):
            (one,) = client.score(ADS[:1], model=name)
            assert one.model == served.model
        with pytest.raises(ProblemResponse, match="No such model is in service"):
            client.score(ADS[:1], model="challenger")


def test_the_facts_are_typed(url: str, eager_scorer: Scorer) -> None:
    with SignaalClient(url + "/") as client:
        assert client.ready(5).status == "ready"
        assert [one.id for one in client.indicators().indicators] == list(eager_scorer.taxonomy.indicator_ids)
        assert client.model().limits.max_ads == 3


def test_what_is_wrong_is_said_at_once_and_without_the_text(url: str) -> None:
    with SignaalClient(url) as client:
        with pytest.raises(ProblemResponse) as wrong:
            client.score([{"id": SECRET, "text": SECRET}], indicators=["debts_or_fee"])
        assert wrong.value.problem.status == 422
        assert wrong.value.problem.errors[0].field == "indicators[0]"
        assert "Did you mean 'debt_or_fees'?" in str(wrong.value)
        with pytest.raises(ProblemResponse, match="is not UTF-8") as half:
            client.score([{"id": "a", "text": f"{SECRET} \ud800"}])
    for error in (wrong.value, half.value):
        assert SECRET not in "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))


def test_an_answer_that_cannot_be_read_is_an_error_without_its_words(script: Script) -> None:
    spans = {"probability": 0.5, "status": "present", "evidence": SECRET}
    result = {"id": "a", "indicators": {"x": spans}, "counter_indicators": {}}
    script.answers = [(200, {}, json.dumps({"model": MODEL, "results": [result]}).encode())]
    with SignaalClient(script.url) as client, pytest.raises(BadAnswerError) as bad:
        client.score(ADS[:1])
    assert SECRET not in "".join(traceback.format_exception(bad.value)) + repr(bad.value)
    assert "POST /v1/score" in str(bad.value)
    assert bad.value.__context__ is None


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_service_is_asked_again(script: Script, status: int) -> None:
    ready = json.dumps({"status": "ready", "model": None}).encode()
    script.answers = [problem(status, Retry_After="0"), (status, {}, b"<html>"), (200, {}, ready)]
    with SignaalClient(script.url) as client:
        assert client.ready(30).status == "ready"
    assert len(script.asked) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500])
def test_nothing_else_is_asked_again(script: Script, status: int) -> None:
    script.answers = [problem(status, Retry_After="0")]
    with SignaalClient(script.url) as client, pytest.raises(ProblemResponse) as refused:
        client.indicators()
    assert refused.value.problem.status == status
    assert len(script.asked) == 1


def test_a_wait_that_goes_beyond_the_budget_is_not_begun(script: Script) -> None:
    script.answers = [problem(429, Retry_After="3600")]
    with SignaalClient(script.url, budget=5) as client, pytest.raises(ProblemResponse) as refused:
        client.indicators()
    assert refused.value.retry_after == 3600
    assert len(script.asked) == 1


def test_an_answer_of_something_else_says_so(script: Script) -> None:
    script.answers = [(404, {}, f"<html>{SECRET}</html>".encode())]
    with SignaalClient(script.url) as client, pytest.raises(ProblemResponse, match="no problem document") as other:
        client.model()
    assert other.value.problem.type == "about:blank"
    assert SECRET not in str(other.value)


def test_nobody_there_is_an_error_when_the_budget_is_over() -> None:
    with SignaalClient("http://127.0.0.1:9", budget=0.5) as client, pytest.raises(NoAnswerError, match="ConnectError"):
        client.indicators()


def test_a_service_that_comes_up_late_is_waited_for() -> None:
    with scripted() as gone:
        pass
    with SignaalClient(gone.url) as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.ready, 20)
        time.sleep(0.4)
        with scripted(int(gone.url.rpartition(":")[2])) as late:
            late.answers = [(200, {}, json.dumps({"status": "ready", "model": MODEL}).encode())]
            assert answer.result(20).status == "ready"


def test_feedback_is_repeated_under_the_same_key(script: Script) -> None:
    script.answers = [problem(503, Retry_After="0"), (202, {}, b'{"accepted": 1, "first": 17, "last": 17}')]
    with SignaalClient(script.url, api_key="sgnl_key") as client:
        stored = client.feedback([{"id": "a1", "labels": {"debt_or_fees": "absent"}}])
        assert (stored.accepted, stored.first, stored.last) == (1, 17, 17)
        client.feedback([], idempotency_key="mine")
    first, second, third = script.asked
    assert first == second
    assert first[0] == "/v1/feedback"
    assert json.loads(first[2]) == {"items": [{"id": "a1", "labels": {"debt_or_fees": "absent"}}]}
    assert len(first[1]["idempotency-key"]) == 36
    assert third[1]["idempotency-key"] == "mine"
    assert first[1]["authorization"] == "Bearer sgnl_key"


def test_the_key_comes_from_the_environment_and_the_wait_goes_out(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNAAL_API_KEY", "from-environment")
    script.answers = [(200, {}, json.dumps({"model": MODEL, "results": []}).encode())]
    with SignaalClient(script.url) as client:
        client.score(ADS[:1], wait=5)
    ((_, headers, _),) = script.asked
    assert (headers["authorization"], headers["prefer"]) == ("Bearer from-environment", "wait=5")


def test_the_asynchronous_client_does_the_same(url: str, script: Script) -> None:
    script.answers = [problem(503, Retry_After="0"), (202, {}, b'{"accepted": 1, "first": 17, "last": 17}')]

    async def use() -> None:
        async with AsyncSignaalClient(url) as client:
            assert (await client.ready(5)).status == "ready"
            assert [one.id for one in await client.score(ADS)] == [ad["id"] for ad in ADS]
            assert (await client.models()).models[0].aliases == ["champion"]
            assert (await client.indicators()).model == (await client.model()).model
            with pytest.raises(ProblemResponse):
                await client.score(ADS[:1], indicators=["no"])
        async with AsyncSignaalClient(script.url) as client:
            assert (await client.feedback([{"id": "a1", "labels": {}}])).last == 17

    asyncio.run(use())
