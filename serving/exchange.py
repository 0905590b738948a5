"""Ads as a stream: a line of NDJSON in, a line out, for as long as the caller sends. Memory stays constant.

Only so many lines are under way at once. When they are, no more is read, and the caller's connection fills up: that is the
back-pressure. It is so, too, while the caller's key waits for its minute.

A line whose text cannot be scored is answered by a problem in its place and does not end the stream. Everything else that is in
the way (the key, its quota, the service) is true of the next line as well, so it ends the stream: no more is read, what is under
way is answered, and a last line without a number says why. A caller who goes stops the work.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Literal

from starlette.types import Receive, Send

from models.scores import AdScore
from serving.answers import LineOut, ModelOut, ResultOut
from serving.errors import (
    CallerLeftError,
    LineFullError,
    LineStoppedError,
    NotReadyError,
    RecordError,
    ServingError,
    UnknownModelError,
)
from serving.fleet import Fleet
from serving.keys.allowance import Allowance, Taking
from serving.problem_document import LineProblem, StreamProblem
from serving.problems import UNEXPECTED, UNSCORABLE, Kind, ProblemError, problem_of, told
from serving.readiness import check_works
from serving.records import Columns, ad_from_json
from serving.request_entry import note_problem, note_scored
from serving.schemas import Ad, Limits
from serving.under_way import Holding

Order = Literal["input", "done"]

LOOK_SECONDS = 0.5
"""How often a stream that waits looks whether it must end."""


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
    retry_after_seconds: int
    holding: Holding
    allowance: Allowance | None = None


class Exchange:
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
        self._why_ended: ServingError | None = None
        self._room = asyncio.Semaphore(options.in_flight)
        self._unfinished = 0
        """Bytes of the line that is not complete yet."""
        self._under_way: set[asyncio.Task[bytes | None]] = set()
        self._to_send: asyncio.Queue[asyncio.Task[bytes | None] | None] = asyncio.Queue()

    async def read(self) -> None:
        """Begin to score line after line; afterwards wait for the caller to go.

        Raises:
            CallerLeftError: always, unless it is cancelled before.
        """
        try:
            async for number, line in numbered_lines(self._body(), self._options.max_line_bytes, self._keep):
                await self._room.acquire()
                await self._begin(number, line)
        except (LineStoppedError, ProblemError) as error:
            self._end_because(error)
        self._group.create_task(self._finish())
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise CallerLeftError("The caller left before the end of the stream.")

    async def write(self) -> bool:
        """Send every answer.

        Returns:
            Whether every line was answered. If not, the last line said why.
        """
        while (task := await self._to_send.get()) is not None:
            if (answer := await task) is not None:
                await self._send_line(answer)
            self._room.release()
        if self._why_ended is None:
            return True
        why = told(self._why_ended, self._options.retry_after_seconds)
        note_problem(why.kind.slug)
        after = why.headers.get("Retry-After")
        problem = problem_of(why.kind, why.detail, why.errors)
        await self._send_line(_line(StreamProblem(problem=problem, retry_after=int(after) if after else None)))
        return False

    async def _send_line(self, line: bytes) -> None:
        await self._send({"type": "http.response.body", "body": line, "more_body": True})

    async def _begin(self, number: int, line: bytes | None) -> None:
        """Start the work on a line, which is None when it was too long to keep.

        Raises:
            ProblemError: the caller may have no more scored.
            LineStoppedError: the stream must end.
        """
        if self._must_end():
            raise LineStoppedError("The service is being stopped.")
        try:
            if line is None:
                raise RecordError(f"The line is longer than {self._options.max_line_bytes} bytes.")
            ad = ad_from_json(line, Columns(), number, self._options.limits)
        except RecordError as error:
            self._put(self._refuse(number, UNSCORABLE, str(error)))
            return
        taking = None
        if self._options.allowance is not None:
            taking = await self._options.allowance.take(1, wait_until=self._must_end)
        self._put(self._answer(number, ad, len(line), taking))

    def _put(self, work: Coroutine[None, None, bytes | None]) -> None:
        task = self._group.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        if self._options.order == "input":
            self._to_send.put_nowait(task)
        else:
            task.add_done_callback(self._to_send.put_nowait)

    def _keep(self, unfinished: int) -> None:
        self._options.holding.add(unfinished - self._unfinished)
        self._unfinished = unfinished

    async def _finish(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way)
        self._to_send.put_nowait(None)

    def _must_end(self) -> bool:
        return self._why_ended is not None or self._stopping.is_set()

    def _end_because(self, error: ServingError) -> None:
        self._why_ended = self._why_ended or error

    async def _body(self) -> AsyncIterator[bytes]:
        waited, look = 0.0, min(LOOK_SECONDS, self._options.idle_seconds)
        while not self._must_end():
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

    async def _answer(self, number: int, ad: Ad, size: int, taking: Taking | None) -> bytes | None:
        """The answer to a line of ``size`` bytes; None when there is none, for a reason that ends the stream."""
        try:
            with self._options.holding.more(size):
                model, score = await self._score(ad)
        except Exception as error:
            if self._options.allowance is not None and taking is not None:
                await self._options.allowance.give_back(taking)
            try:
                await self._blame_text(error)
            except (NotReadyError, UnknownModelError) as reason:
                self._end_because(reason)
                return None
            # The message may hold the text; the kind does not.
            return await self._refuse(number, UNEXPECTED, f"The model failed on this text ({type(error).__name__}).")
        note_scored(model, 1)
        return _line(LineOut(line=number, model=model, **dict(ResultOut.of(ad.id, score))))

    async def _refuse(self, number: int, kind: Kind, detail: str) -> bytes:
        note_problem(kind.slug)
        return _line(LineProblem(line=number, problem=problem_of(kind, detail)))

    async def _blame_text(self, error: Exception) -> None:
        """Return when an error is the text's fault.

        Raises:
            NotReadyError: the service does not work, so nothing is known of the text.
            UnknownModelError: the model that was asked for is gone.
        """
        if isinstance(error, NotReadyError | UnknownModelError):
            raise error
        await check_works(self._fleet.pick(self._options.model).line)

    async def _score(self, ad: Ad) -> tuple[ModelOut, AdScore]:
        """Score an ad; when the line is full, wait and try again: a stream has time."""
        labels, evidence = self._options.labels, self._options.evidence
        while True:
            try:
                model, (score,) = await self._fleet.score(
                    [ad.text], [ad.language], labels, evidence=evidence, model=self._options.model
                )
            except LineFullError as error:
                await self._pause(error.retry_after)
            else:
                return model, score

    async def _pause(self, seconds: float) -> None:
        """Raises LineStoppedError as soon as the service is being stopped."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._stopping.is_set():
                raise LineStoppedError("The service is being stopped.")
            await asyncio.sleep(min(left, LOOK_SECONDS))


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


def _line(answer: LineOut | LineProblem | StreamProblem) -> bytes:
    return answer.model_dump_json(exclude_none=not isinstance(answer, LineOut)).encode() + b"\n"
