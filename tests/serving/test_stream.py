"""POST /v1/score/stream: a line in, a line out."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from models.runtime import Scorer
from serving.exchange import StreamOptions, numbered_lines
from serving.fleet import Fleet
from serving.schemas import Limits
from serving.settings import ServingSettings
from serving.stream import ScoreStream
from serving.under_way import Bodies, Holding
from tests.serving.conftest import Fussy, GatedRunner, only

NDJSON = {"Content-Type": "application/x-ndjson"}
SECRET = "geheimtekst"


def ask(client: TestClient, body: bytes, query: str = "") -> list[dict[str, Any]]:
    answer = client.post(f"/v1/score/stream{query}", content=body, headers=NDJSON)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["cache-control"] == "no-store"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_each_line_is_answered_in_order_by_what_the_scorer_says(client: TestClient, eager_scorer: Scorer) -> None:
    texts = [f"Ad {i}: your passport stays here until the {i}00 are paid. " * (1 + i % 5) for i in range(30)]
    body = "\n".join(json.dumps({"id": f"n{i}", "text": text}) for i, text in enumerate(texts)).encode()
    found = ask(client, body)
    assert [one["line"] for one in found] == list(range(1, 31))
    assert [one["id"] for one in found] == [f"n{i}" for i in range(30)]
    for one, alone in zip(found, eager_scorer.score(texts), strict=True):
        for label, score in alone.indicators.items():
            assert one["indicators"][label]["probability"] == pytest.approx(score.probability, abs=1e-4)
        assert one["model"]["bundle_digest"] == eager_scorer.identity.bundle_digest


def test_the_wishes_are_in_the_query(client: TestClient) -> None:
    (one,) = ask(client, b'{"text": "Hello there"}', "?indicators=debt_or_fees,states_limits&evidence=false")
    assert one["id"] == "1", "the line's number stands for an id"
    assert (list(one["indicators"]), list(one["counter_indicators"])) == (["debt_or_fees"], ["states_limits"])
    assert one["indicators"]["debt_or_fees"]["evidence"] == []


def test_a_line_that_cannot_be_scored_is_a_problem_in_its_place(client: TestClient) -> None:
    bad = [b"{", b"[]", b'{"id": "x"}', b'{"text": " "}', b'{"text": 5}', b"\xff", b'{"text": "\\ud800"}']
    found = ask(client, b'{"text": "first"}\n' + b"\n".join(bad) + b'\n\n{"text": "last"}\r\n')
    assert [one["line"] for one in found] == [*range(1, 9), 10]
    assert ["problem" in one for one in found] == [False, *[True] * 7, False]
    for one in found[1:-1]:
        assert one["problem"]["type"] == "urn:signaal:problem:invalid-line"
        assert one["problem"]["detail"]


def test_a_stream_that_nobody_can_read_is_refused_before_it_begins(client: TestClient) -> None:
    refused = client.post("/v1/score/stream", json={"text": "x"})
    assert (refused.status_code, refused.headers["content-type"]) == (415, "application/problem+json")
    unknown = client.post("/v1/score/stream?indicators=debts_or_fees", content=b"", headers=NDJSON)
    assert unknown.status_code == 422
    assert "Did you mean 'debt_or_fees'?" in unknown.json()["errors"][0]["detail"]
    assert client.post("/v1/score/stream?order=upside-down", content=b"", headers=NDJSON).status_code == 422
    assert ask(client, b"") == []


def test_a_text_that_the_model_fails_on_ends_neither_the_stream_nor_gets_out(
    open_client: Any, eager_scorer: Scorer, caplog: pytest.LogCaptureFixture
) -> None:
    client = open_client(lambda: Fussy(eager_scorer, lambda text: SECRET in text))
    found = ask(client, f'{{"text": "a"}}\n{{"text": "{SECRET}"}}\n{{"text": "b"}}'.encode())
    assert ["problem" in one for one in found] == [False, True, False]
    assert found[1]["problem"]["detail"] == "The model failed on this text (RuntimeError)."
    assert SECRET not in caplog.text


class Caller:
    """One end of an ASGI connection: hands out parts of a body as they are wanted, and keeps what is sent."""

    def __init__(self, lines: int, *, stays: bool = True) -> None:
        self.asked, self.lines, self.stays = 0, lines, stays
        self.answers: list[dict[str, Any]] = []
        self.gone, self.ended = asyncio.Event(), False

    async def receive(self) -> dict[str, Any]:
        if self.asked < self.lines:
            self.asked += 1
            body = json.dumps({"id": f"n{self.asked}", "text": "word " * (1 + self.asked % 40)}).encode() + b"\n"
            return {"type": "http.request", "body": body, "more_body": True}
        if self.asked == self.lines and self.stays:
            self.asked += 1
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            self.answers += [json.loads(line) for line in message["body"].splitlines()]
            self.ended = not message.get("more_body", False)


def options(**given: Any) -> StreamOptions:
    chosen: dict[str, Any] = {
        "model": None, "labels": ("debt_or_fees",), "evidence": False, "order": "input", "limits": Limits(64, 20_000, ()),
        "max_line_bytes": 10_000, "in_flight": 8, "idle_seconds": 30, "retry_after_seconds": 5,
        "holding": Holding(Bodies(1 << 20, 1)), **given,
    }  # fmt: skip
    return StreamOptions(**chosen)


async def ready(scorer: Scorer) -> Fleet:
    fleet = Fleet(only(lambda: scorer), ServingSettings())
    fleet.start()
    while fleet.model is None:
        await asyncio.sleep(0.02)
    return fleet


def test_no_more_is_read_than_may_be_under_way(gated_scorer: Scorer, gated: GatedRunner) -> None:
    async def scene() -> None:
        fleet, caller = await ready(gated_scorer), Caller(200)
        gated.shut()
        stream = asyncio.create_task(ScoreStream(fleet, options())({}, caller.receive, caller.send))  # type: ignore[arg-type]
        await asyncio.sleep(0.5)
        assert caller.asked == 9, "eight under way, and one line that waits for room"
        gated.gate.set()
        await stream
        assert [one["line"] for one in caller.answers] == list(range(1, 201))
        assert caller.ended
        fleet.stop()

    asyncio.run(scene())


def test_answers_come_as_they_are_done_when_asked_so(gated_scorer: Scorer, gated: GatedRunner) -> None:
    async def scene() -> None:
        fleet, caller = await ready(gated_scorer), Caller(60)
        done = options(order="done", in_flight=64)
        gated.shut()
        stream = asyncio.create_task(ScoreStream(fleet, done)({}, caller.receive, caller.send))  # type: ignore[arg-type]
        while len(fleet.pick().line._windows) < 40:  # as many lengths as there are
            await asyncio.sleep(0.01)
        gated.gate.set()
        await stream
        lines = [one["line"] for one in caller.answers]
        assert lines != sorted(lines)
        assert sorted(lines) == list(range(1, 61))
        assert all(one["id"] == f"n{one['line']}" for one in caller.answers)
        fleet.stop()

    asyncio.run(scene())


def test_a_caller_who_goes_stops_the_work(gated_scorer: Scorer, gated: GatedRunner) -> None:
    async def scene() -> None:
        fleet, caller = await ready(gated_scorer), Caller(30, stays=False)
        gated.shut()
        wide = options(in_flight=64)
        stream = asyncio.create_task(ScoreStream(fleet, wide)({}, caller.receive, caller.send))  # type: ignore[arg-type]
        await asyncio.to_thread(gated.inside.wait, 30)
        while fleet.pick().line.waiting_ads < 30:
            await asyncio.sleep(0.01)
        caller.gone.set()
        await asyncio.wait_for(stream, 5)
        assert fleet.pick().line.waiting_ads == 0
        gated.gate.set()
        await asyncio.to_thread(fleet.stop)
        assert not caller.ended

    asyncio.run(scene())
    assert len(gated.batches) == 1, "only the batch that ran already"


def test_a_caller_who_says_nothing_for_too_long_is_let_go(eager_scorer: Scorer) -> None:
    async def scene() -> None:
        fleet, caller = await ready(eager_scorer), Caller(1, stays=False)
        short = options(idle_seconds=0.2)
        await asyncio.wait_for(ScoreStream(fleet, short)({}, caller.receive, caller.send), 10)  # type: ignore[arg-type]
        assert not caller.ended
        fleet.stop()

    asyncio.run(scene())


def test_what_is_not_answered_is_counted_and_given_back(gated_scorer: Scorer, gated: GatedRunner) -> None:
    async def scene() -> None:
        fleet, caller, bodies = await ready(gated_scorer), Caller(20), Bodies(1 << 20, 1)
        gated.shut()
        counting = options(holding=Holding(bodies))
        stream = asyncio.create_task(ScoreStream(fleet, counting)({}, caller.receive, caller.send))  # type: ignore[arg-type]
        await asyncio.to_thread(gated.inside.wait, 30)
        while fleet.pick().line.waiting_ads < 8:
            await asyncio.sleep(0.01)
        again = Caller(8)
        assert bodies.held == sum([len((await again.receive())["body"].strip()) for _ in range(8)])
        gated.gate.set()
        await stream
        assert bodies.held == 0
        fleet.stop()

    asyncio.run(scene())


def test_a_stream_for_which_there_is_no_room_for_too_long_is_let_go(eager_scorer: Scorer) -> None:
    async def scene() -> None:
        fleet, caller, bodies = await ready(eager_scorer), Caller(5), Bodies(1000, 1)
        bodies.add(1000)
        patient = options(idle_seconds=0.2, holding=Holding(bodies))
        await asyncio.wait_for(ScoreStream(fleet, patient)({}, caller.receive, caller.send), 10)  # type: ignore[arg-type]
        assert (caller.asked, caller.answers, caller.ended) == (0, [], False)
        fleet.stop()

    asyncio.run(scene())


@given(st.binary(max_size=60).map(lambda raw: raw.replace(b"\x00", b"\n")), st.lists(st.integers(0, 60), max_size=6))
def test_lines_are_the_same_however_the_chunks_are_cut(body: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(body), *(cut for cut in cuts if cut <= len(body))})

    async def chunks() -> AsyncIterator[bytes]:
        for start, end in itertools.pairwise(places):
            yield body[start:end]

    unfinished: list[int] = []

    async def read(limit: int) -> list[tuple[int, bytes | None]]:
        return [one async for one in numbered_lines(chunks(), limit, unfinished.append)]

    whole = list(enumerate(body.split(b"\n"), start=1))
    assert asyncio.run(read(100)) == [(n, line) for n, line in whole if line.strip()]
    assert unfinished == [len(body[:end].rpartition(b"\n")[2]) for end in places[1:]]
    unfinished.clear()
    kept = asyncio.run(read(5))
    assert max(unfinished, default=0) <= 5
    assert kept == [(n, line if len(line) <= 5 else None) for n, line in whole if line.strip() or len(line) > 5]
