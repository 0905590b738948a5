"""Ads as a stream: a line of NDJSON in, a line out, for as long as the caller sends. Memory stays constant.

Only so many lines are under way at once. When they are, no more is read, and the caller's connection fills up: that is the
back-pressure. A line that cannot be scored is answered by a problem in its place and does not end the stream. A caller who
goes stops the work.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Query, Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from models.scores import AdScore
from serving.answers import LineOut, ModelOut, ResultOut
from serving.body import check_media_type, pick_or_refuse
from serving.errors import (
    CallerLeftError,
    LineFullError,
    LineStoppedError,
    NotReadyError,
    RecordError,
    UnknownModelError,
)
from serving.fleet import Fleet
from serving.keys.allowance import Allowance, spending
from serving.problem_document import FieldError, LineProblem
from serving.problems import INVALID, UNEXPECTED, UNSCORABLE, ProblemError, problem_of
from serving.records import Columns, ad_from_json
from serving.request_entry import note_problem, note_scored
from serving.schemas import Ad, Limits, unknown_label
from serving.settings import ServingSettings
from serving.under_way import Holding

MEDIA_TYPE = "application/x-ndjson"
MEDIA_TYPES = (MEDIA_TYPE, "application/ndjson", "application/jsonl", "application/jsonlines")

Order = Literal["input", "done"]

LOOK_SECONDS = 0.5
"""How often a stream that waits for lines looks whether the service is being stopped."""


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """What is asked of every line of a stream, and what the stream may hold."""

    model: str | None
    labels: tuple[str, ...] | None
    evidence: bool
    order: Order
    limits: Limits
    max_line_bytes: int
    in_flight: int
    idle_seconds: float
    holding: Holding
    allowance: Allowance | None = None


class ScoreStream(Response):
    """Scores while it reads; both ends of one request. Once ``stopping`` is set no more is read."""

    def __init__(self, fleet: Fleet, options: StreamOptions, stopping: threading.Event | None = None) -> None:
        super().__init__(media_type=MEDIA_TYPE, headers=fleet.notices(fleet.pick(options.model)))
        self._fleet, self._options, self._stopping = fleet, options, stopping or threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            async with asyncio.TaskGroup() as group:
                exchange = _Exchange(self._fleet, self._options, group, receive, send, self._stopping)
                reading = group.create_task(exchange.read())
                await exchange.write()
                if not exchange.is_cut_off:
                    await send({"type": "http.response.body", "body": b""})
                reading.cancel()
        except* (CallerLeftError, NotReadyError, UnknownModelError):
            pass  # the group stopped what was under way; without an end, whoever still listens sees a stream cut off


class _Exchange:
    """The two loops of a stream, and what passes between them: tasks, each of which gives the answer to one line."""

    def __init__(
        self,
        fleet: Fleet,
        options: StreamOptions,
        group: asyncio.TaskGroup,
        receive: Receive,
        send: Send,
        stopping: threading.Event,
    ) -> None:
        self._fleet, self._options, self._group = fleet, options, group
        self._receive, self._send, self._stopping = receive, send, stopping
        self.is_cut_off = False
        """Whether the service was stopped before the last line; what was under way then is answered."""
        self._room = asyncio.Semaphore(options.in_flight)
        self._unfinished = 0
        """Bytes of the line that is not complete yet."""
        self._under_way: set[asyncio.Task[bytes]] = set()
        self._to_send: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue()

    async def read(self) -> None:
        """Begin to score line after line; afterwards wait for the caller to go.

        Raises:
            CallerLeftError: always, unless it is cancelled before.
        """
        try:
            async for number, line in numbered_lines(self._body(), self._options.max_line_bytes, self._keep):
                await self._room.acquire()
                self._begin(number, line)
        except LineStoppedError:
            self.is_cut_off = True
        self._group.create_task(self._end())
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise CallerLeftError("The caller left before the end of the stream.")

    async def write(self) -> None:
        """Send every answer; returns after the last."""
        while (task := await self._to_send.get()) is not None:
            await self._send({"type": "http.response.body", "body": await task, "more_body": True})
            self._room.release()

    def _begin(self, number: int, line: bytes | None) -> None:
        if self._stopping.is_set():
            raise LineStoppedError("The service is being stopped.")
        task = self._group.create_task(self._hold_and_answer(number, line))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        if self._options.order == "input":
            self._to_send.put_nowait(task)
        else:
            task.add_done_callback(self._to_send.put_nowait)

    async def _hold_and_answer(self, number: int, line: bytes | None) -> bytes:
        with self._options.holding.more(len(line or b"")):
            return await self._answer(number, line)

    def _keep(self, unfinished: int) -> None:
        self._options.holding.add(unfinished - self._unfinished)
        self._unfinished = unfinished

    async def _end(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way)
        self._to_send.put_nowait(None)

    async def _body(self) -> AsyncIterator[bytes]:
        waited, look = 0.0, min(LOOK_SECONDS, self._options.idle_seconds)
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(look):
                    await self._options.holding.bodies.room.wait()
                    message = await self._receive()
            except TimeoutError:
                waited += look
                if waited >= self._options.idle_seconds:
                    raise CallerLeftError("Nothing came, or there was no room for it, for too long.") from None
                continue
            waited = 0.0
            if message["type"] == "http.disconnect":
                raise CallerLeftError("The caller left before the end of the stream.")
            yield message.get("body", b"")
            if not message.get("more_body", False):
                return
        raise LineStoppedError("The service is being stopped.")

    async def _answer(self, number: int, line: bytes | None) -> bytes:
        """The answer to a line, as a line; ``line`` is None when it was too long to keep."""
        try:
            if line is None:
                raise RecordError(f"The line is longer than {self._options.max_line_bytes} bytes.")
            ad = ad_from_json(line, Columns(), number, self._options.limits)
        except RecordError as error:
            note_problem(UNSCORABLE.slug)
            return _line(LineProblem(line=number, problem=problem_of(UNSCORABLE, str(error))))
        try:
            async with spending(self._options.allowance, 1, wait_until=self._stopping):
                model, score = await self._score(ad)
        except (NotReadyError, UnknownModelError):
            raise  # ends the stream; the caller sees that it was cut off
        except ProblemError as error:  # of the key or its quota
            note_problem(error.kind.slug)
            return _line(LineProblem(line=number, problem=problem_of(error.kind, error.detail)))
        except Exception as error:
            note_problem(UNEXPECTED.slug)
            # The message may hold the text; the kind does not.
            detail = f"The model failed on this text ({type(error).__name__})."
            return _line(LineProblem(line=number, problem=problem_of(UNEXPECTED, detail)))
        note_scored(model, 1)
        return _line(LineOut(line=number, model=model, **dict(ResultOut.of(ad.id, score))))

    async def _score(self, ad: Ad) -> tuple[ModelOut, AdScore]:
        """Score an ad; when the line is full, wait and try again: a stream has time."""
        labels, evidence = self._options.labels, self._options.evidence
        while True:
            try:
                model, (score,) = await self._fleet.score(
                    [ad.text], [ad.language], labels, evidence=evidence, model=self._options.model
                )
            except LineFullError as error:
                await asyncio.sleep(error.retry_after)
            else:
                return model, score


async def read_stream_options(
    request: Request,
    indicators: Annotated[
        str | None, Query(description="Ids of the indicators and counter-indicators to answer, with commas; all when left out.")
    ] = None,
    model: Annotated[
        str | None, Query(description="An alias, a version or a digest, as in GET /v1/models; the champion when left out.")
    ] = None,
    evidence: Annotated[bool, Query(description="Whether to say which words each indicator was seen in.")] = True,
    order: Annotated[Order, Query(description="Answers in the order of the lines, or each as soon as it is done.")] = "input",
) -> StreamOptions:
    """What the caller asks of a stream, checked before the first line is read.

    Raises:
        NotReadyError: no model yet, so the labels are not known.
        ProblemError: it is not sent as NDJSON, or an indicator is not known.
    """
    settings: ServingSettings = request.app.state.settings
    fleet: Fleet = request.app.state.fleet
    fleet.pick()
    check_media_type(request, *MEDIA_TYPES)
    known = pick_or_refuse(fleet, model).scorer.taxonomy.label_ids
    asked = tuple(name.strip() for name in indicators.split(",")) if indicators is not None else None
    for name in asked or ():
        if name not in known:
            raise ProblemError(INVALID, "See errors.", [FieldError(field="indicators", detail=unknown_label(name, known))])
    return StreamOptions(
        model=model,
        labels=asked,
        evidence=evidence,
        order=order,
        limits=Limits(settings.max_ads, settings.max_characters, known),
        max_line_bytes=settings.stream_max_line_bytes,
        in_flight=settings.stream_in_flight,
        idle_seconds=settings.body_idle_seconds,
        holding=request.state.holding,
        allowance=request.state.allowance,
    )


def stream_line_schema(settings: ServingSettings) -> dict[str, Any]:
    """JSON Schema of a line of a stream, with this server's limits. Other than in a request, ids may be numbers, and an
    unknown field is passed over."""
    line: dict[str, Any] = Ad.model_json_schema()
    line |= {"title": "StreamLine", "description": "One ad of a stream."}
    line.pop("additionalProperties")
    line["required"].remove("id")
    line["properties"]["id"]["description"] = "Your name for this ad; the line's number when left out."
    line["properties"]["text"] |= {"minLength": 1, "maxLength": settings.max_characters}
    return line


async def numbered_lines(
    chunks: AsyncIterator[bytes], limit: int, keep: Callable[[int], None]
) -> AsyncIterator[tuple[int, bytes | None]]:
    """Lines with their numbers from 1, however the chunks are cut; blank ones are passed over. A line longer than ``limit`` bytes
    is None, and is not kept in memory. ``keep`` is told after each chunk how many bytes it keeps of an unfinished line."""
    number, kept, too_long = 1, bytearray(), False
    async for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            kept += piece
            if too_long or len(kept) > limit:
                yield number, None
            elif kept.strip():
                yield number, bytes(kept)
            number, kept, too_long = number + 1, bytearray(), False
        kept += rest
        if len(kept) > limit:
            kept, too_long = bytearray(), True
        keep(len(kept))
    if too_long:
        yield number, None
    elif kept.strip():
        yield number, bytes(kept)


def _line(answer: LineOut | LineProblem) -> bytes:
    return answer.model_dump_json(exclude_none=isinstance(answer, LineProblem)).encode() + b"\n"
