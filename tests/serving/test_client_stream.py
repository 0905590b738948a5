"""The client's stream: sends while it reads, in constant memory, and survives a connection that breaks."""

import asyncio
import itertools
import queue
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fastapi import FastAPI
from pydantic import SecretStr

from models.runtime import Scorer
from serving.answers import LineOut
from serving.app import create_app
from serving.client import AsyncSignaalClient, NoAnswerError, ProblemResponse, RefusedLine, SignaalClient
from serving.client.line_stream import WINDOW
from serving.keys.store import KeyStore, Scope
from serving.readiness import MOST_FAILED
from serving.settings import ServingSettings
from tests.serving.conftest import GatedRunner, only
from tests.serving.listening import BreakingLine, listening


@pytest.fixture(scope="module")
def app(eager_scorer: Scorer) -> FastAPI:
    return create_app(only(lambda: eager_scorer), ServingSettings())


@pytest.fixture(scope="module")
def url(app: FastAPI) -> Iterator[str]:
    with listening(app) as url:
        yield url


def ads(count: int) -> Iterator[dict[str, str]]:
    return ({"id": f"n{i}", "text": f"Ad {i % 9}: the bus costs {i % 7}00."} for i in range(1, count + 1))


def test_more_ads_than_are_ever_under_way_are_answered_in_order(url: str, eager_scorer: Scorer) -> None:
    with SignaalClient(url) as client:
        found = list(client.score_stream(ads(3 * WINDOW), indicators=["debt_or_fees"], evidence=False))
    assert [(one.line, one.id) for one in found] == [(i, f"n{i}") for i in range(1, 3 * WINDOW + 1)]
    first = found[0]
    assert isinstance(first, LineOut)
    assert list(first.indicators) == ["debt_or_fees"]
    assert first.model.bundle_digest == eager_scorer.identity.bundle_digest


def test_an_ad_that_cannot_be_scored_is_refused_in_its_place_by_its_own_id(url: str) -> None:
    lines = [{"id": "a", "text": "first"}, {"id": "b", "text": " "}, {"id": "c", "text": "\ud800"}, {"text": "last"}]
    with SignaalClient(url) as client:
        first, blank, half, last = client.score_stream(lines, evidence=False)
    assert isinstance(blank, RefusedLine)
    assert isinstance(half, RefusedLine)
    assert (blank.id, blank.line, half.id, half.line) == ("b", 2, "c", 3)
    assert blank.problem.type == "urn:signaal:problem:invalid-line"
    assert (first.id, last.id) == ("a", "4")


def test_an_answer_comes_before_the_next_ad_is_there(url: str) -> None:
    asked: queue.SimpleQueue[dict[str, str] | None] = queue.SimpleQueue()
    asked.put({"id": "1", "text": "The first one."})
    with SignaalClient(url) as client:
        for answer in client.score_stream(iter(asked.get, None), evidence=False):
            asked.put({"id": str(answer.line + 1), "text": "The next one."} if answer.line < 5 else None)
    assert answer.line == 5


@pytest.mark.parametrize("order", ["input", "done"])
def test_no_more_is_read_than_can_be_under_way(url: str, order: str) -> None:
    taken = itertools.count()
    endless = ({"id": str(next(taken)), "text": "Kitchen help wanted."} for _ in itertools.repeat(None))
    with SignaalClient(url) as client:
        stream = client.score_stream(endless, evidence=False, order=order)  # type: ignore[arg-type]
        answered = list(itertools.islice(stream, 400))
        stream.close()
    assert len({one.line for one in answered}) == 400
    assert next(taken) <= 400 + WINDOW + 2


def test_what_had_no_answer_when_the_connection_broke_is_sent_again(url: str) -> None:
    line = BreakingLine(url, [1500, 0, 20_000, 300, 33_333])
    with SignaalClient(line.url, budget=20) as client:
        found = list(client.score_stream(ads(700), indicators=["debt_or_fees"], evidence=False))
    line.close()
    assert [(one.line, one.id) for one in found] == [(i, f"n{i}") for i in range(1, 701)]
    assert line.connections == 6


def test_a_line_that_breaks_every_time_ends_with_the_budget(url: str) -> None:
    line = BreakingLine(url, [0] * 1000)
    with SignaalClient(line.url, budget=1) as client, pytest.raises(NoAnswerError, match="was cut"):
        list(client.score_stream(ads(3)))
    line.close()


def test_an_error_of_the_source_comes_after_what_was_answered(url: str) -> None:
    def broken() -> Iterator[dict[str, str]]:
        yield from ads(3)
        raise RuntimeError("the crawler fell over")

    with SignaalClient(url) as client:
        answers = client.score_stream(broken(), evidence=False)
        assert [next(answers).line for _ in range(3)] == [1, 2, 3]
        with pytest.raises(RuntimeError, match="fell over"):
            next(answers)


def test_a_stream_that_the_service_refuses_is_an_error_at_once(url: str) -> None:
    with SignaalClient(url) as client, pytest.raises(ProblemResponse, match="Did you mean 'debt_or_fees'") as refused:
        list(client.score_stream(ads(5), indicators=["debts_or_fees"]))
    assert refused.value.problem.status == 422


@pytest.fixture
def keyed_url(eager_scorer: Scorer, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Address of a server, and a key that may have 300 ads a day scored."""
    address = f"sqlite:///{tmp_path}/keys.db"
    store = KeyStore(address)
    _, token = store.create("crawler", {Scope.SCORE}, ads_per_day=300)
    store.close()
    settings = ServingSettings(auth="keys", database_url=SecretStr(address))
    with listening(create_app(only(lambda: eager_scorer), settings)) as url:
        yield url, token


def test_when_the_day_of_a_key_is_used_up_no_ad_is_refused_for_it(keyed_url: tuple[str, str]) -> None:
    url, token = keyed_url
    answered: list[LineOut | RefusedLine] = []
    with SignaalClient(url, api_key=token) as client, pytest.raises(ProblemResponse) as ended:
        answered.extend(client.score_stream(ads(1000), indicators=["debt_or_fees"], evidence=False))
    assert [(one.line, one.id) for one in answered] == [(i, f"n{i}") for i in range(1, 301)]
    assert not any(isinstance(one, RefusedLine) for one in answered)
    assert ended.value.problem.type == "urn:signaal:problem:quota-used-up"
    assert 0 < (ended.value.retry_after or 0) <= 86_400


def test_on_asyncio_too_the_end_of_the_day_is_raised(keyed_url: tuple[str, str]) -> None:
    url, token = keyed_url
    lines: set[int] = set()

    async def use() -> None:
        async with AsyncSignaalClient(url, api_key=token) as client:
            stream = client.score_stream(ads(1000), indicators=["debt_or_fees"], evidence=False, order="done")
            async with aclosing(stream) as answers:
                async for answer in answers:
                    assert isinstance(answer, LineOut)
                    lines.add(answer.line)

    with pytest.raises(ProblemResponse, match="quota of the day is used up"):
        asyncio.run(use())
    assert lines == set(range(1, 301))


def test_a_service_that_is_stopped_and_comes_back_is_waited_for(eager_scorer: Scorer) -> None:
    app = create_app(only(lambda: eager_scorer), ServingSettings(retry_after_seconds=1))
    back = threading.Timer(1.5, app.state.stopping.clear)

    def stopped_at_400() -> Iterator[dict[str, str]]:
        for number, ad in enumerate(ads(700), start=1):
            if number == 400:
                app.state.stopping.set()
                back.start()
            yield ad

    with listening(app) as url, SignaalClient(url, budget=30) as client:
        found = list(client.score_stream(stopped_at_400(), indicators=["debt_or_fees"], evidence=False))
    assert [(one.line, one.id) for one in found] == [(i, f"n{i}") for i in range(1, 701)]
    assert not any(isinstance(one, RefusedLine) for one in found)


def test_a_service_that_goes_after_the_last_answer_does_no_harm(eager_scorer: Scorer) -> None:
    app = create_app(only(lambda: eager_scorer), ServingSettings(retry_after_seconds=1))
    answered = threading.Semaphore(0)

    def source() -> Iterator[dict[str, str]]:
        yield from ads(3)
        for _ in range(3):
            answered.acquire()
        app.state.stopping.set()
        time.sleep(1)

    with listening(app) as url, SignaalClient(url) as client:
        lines = []
        for answer in client.score_stream(source(), evidence=False):
            lines.append(answer.line)
            answered.release()
    assert lines == [1, 2, 3]


def test_when_no_batch_works_any_more_it_is_not_the_texts_that_are_blamed(
    gated_scorer: Scorer, gated: GatedRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise MemoryError

    refused: list[LineOut | RefusedLine] = []
    with listening(create_app(only(lambda: gated_scorer), ServingSettings())) as url:
        monkeypatch.setattr(gated, "forward", fail)
        with SignaalClient(url, budget=0) as client, pytest.raises(ProblemResponse, match="Batch after batch fails"):
            refused.extend(client.score_stream(ads(300), evidence=False, order="done"))
    assert len(refused) < MOST_FAILED, "so many had been tried before it could be told"


def test_who_stops_in_the_middle_leaves_nothing_waiting(app: FastAPI, url: str) -> None:
    async def stop() -> None:
        async def endless() -> AsyncIterator[dict[str, str]]:
            for one in ads(1_000_000):
                yield one

        async with AsyncSignaalClient(url) as client, aclosing(client.score_stream(endless(), evidence=False)) as answers:
            async for answer in answers:
                if answer.line == 10:
                    return

    asyncio.run(stop())
    for _ in range(100):
        if app.state.fleet.pick().line.waiting_ads == 0:
            return
        time.sleep(0.1)
    raise AssertionError("ads of a caller who left still wait")


def test_a_source_that_is_silent_for_long_keeps_its_connection(eager_scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.client.line_stream.KEEP_ALIVE_SECONDS", 0.2)

    def halting() -> Iterator[dict[str, str]]:
        for ad in ads(3):
            yield ad
            time.sleep(1.5)

    with listening(create_app(only(lambda: eager_scorer), ServingSettings(body_idle_seconds=0.8))) as url:
        line = BreakingLine(url, [])
        with SignaalClient(line.url) as client:
            assert [(one.line, one.id) for one in client.score_stream(halting())] == [(1, "n1"), (2, "n2"), (3, "n3")]
        assert line.connections == 1
        line.close()


def test_a_stream_over_https_trusts_whom_it_is_told_to_trust(eager_scorer: Scorer, certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    with listening(create_app(only(lambda: eager_scorer), ServingSettings()), certificate) as url:
        with SignaalClient(url, verify=trusting) as client:
            assert [one.id for one in client.score(ads(1))] == ["n1"]
            assert [one.line for one in client.score_stream(ads(300), evidence=False)] == list(range(1, 301))
        with SignaalClient(url, budget=0) as client, pytest.raises(NoAnswerError, match="SSLCertVerificationError"):
            list(client.score_stream(ads(1)))


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A new certificate for 127.0.0.1 that signs itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path = tmp_path / "certificate.pem"
    path.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, form, serialization.NoEncryption()))
    return path
