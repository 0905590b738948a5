"""Ads out, answers in, over as many connections as it takes.

Memory is constant: at most ``WINDOW`` ads are without an answer, and no more is read from the source until one is answered.
What has no answer when a connection breaks is sent again on the next one, first. So is what the service leaves unanswered when it
ends a stream because of the key, its quota, or itself, where another try is of use in the time allowed.
"""

import asyncio
import itertools
import json
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Literal

from serving.answers import LineOut
from serving.client.errors import BadAnswerError, ClientError, NoAnswerError, ProblemResponse
from serving.client.messages import AdLike, encoded_ad, parsed
from serving.client.retries import Retries
from serving.client.wire import Endpoint, Wire
from serving.problem_document import LineProblem, StreamProblem
from serving.schemas import Ad

PATH, MEDIA_TYPE = "/v1/score/stream", "application/x-ndjson"
WINDOW = 256
"""Ads under way. Twice what the service scores at once by default, so that it never waits for the way between."""
KEEP_ALIVE_SECONDS = 15.0
"""After so long without an ad an empty line goes out: the service gives up a caller who is silent for a minute."""

Order = Literal["input", "done"]


class RefusedLine(LineProblem):
    """Why an ad of a stream cannot be scored: it is its text, and to send it again is of no use."""

    id: str | None


@dataclass(frozen=True, slots=True)
class Sent:
    """An ad without an answer."""

    id: str | None
    line: bytes = field(repr=False)


class LineStream:
    """The two directions of a stream, and what is under way between them."""

    def __init__(
        self, endpoint: Endpoint, *, indicators: Iterable[str] | None, evidence: bool, model: str | None, order: Order
    ) -> None:
        self._endpoint, self._order = endpoint, order
        self._query = {"evidence": "true" if evidence else "false", "order": order}
        if indicators is not None:
            self._query["indicators"] = ",".join(indicators)
        if model is not None:
            self._query["model"] = model
        self._room = asyncio.Semaphore(WINDOW)
        self._waiting: dict[int, Sent] = {}
        self._unsent: deque[int] = deque()
        self._number_of: dict[int, int] = {}
        self._early: dict[int, LineOut | RefusedLine] = {}
        self._next = 1
        self._news = asyncio.Event()
        self._ended = False
        self._failure: BaseException | None = None
        self._wire: Wire | None = None

    async def answers(self, ads: Iterable[AdLike] | AsyncIterable[AdLike]) -> AsyncGenerator[LineOut | RefusedLine, None]:
        """Answers to all of ``ads``.

        Raises:
            ClientError: the service refuses the stream, or ends it, or cannot be reached, and another try is of no use or would
                come later than the budget allows. Ads that have no answer then must be sent again, later.
            Exception: whatever ``ads`` raises; what was answered before has been given.
        """
        reading = asyncio.create_task(self._read(ads))
        retries, is_answered = Retries(self._endpoint.budget), False
        try:
            while True:
                try:
                    async with aclosing(self._exchange()) as answers:
                        async for answer in answers:
                            retries, is_answered = Retries(self._endpoint.budget), True
                            yield answer
                except ClientError as error:
                    if self._failure:
                        raise self._failure from None
                    if is_answered and self._ended and not self._waiting:
                        return  # it was only the end that was missing
                    pause = retries.pause_after(error)
                else:
                    if self._failure:
                        raise self._failure
                    return
                await asyncio.sleep(pause)
        finally:
            reading.cancel()

    async def _read(self, ads: Iterable[AdLike] | AsyncIterable[AdLike]) -> None:
        """Take ads as there is room for them."""
        source = ads if isinstance(ads, AsyncIterable) else _in_a_thread(ads)
        numbers = itertools.count(1)
        try:
            async for ad in source:
                await self._room.acquire()
                number = next(numbers)
                self._waiting[number] = Sent(_id_of(ad), encoded_ad(ad) + b"\n")
                self._unsent.append(number)
                self._news.set()
        except Exception as error:
            self._failure = error
        self._ended = True
        self._news.set()

    async def _exchange(self) -> AsyncGenerator[LineOut | RefusedLine, None]:
        """What one connection answers; returns when everything is answered.

        Raises:
            ProblemResponse: the service refuses the stream, or ended it and says why.
            NoAnswerError: the connection ended before.
        """
        self._unsent, self._number_of = deque(self._waiting), {}
        wire = await Wire.open(self._endpoint, PATH, self._query, MEDIA_TYPE)
        sending = asyncio.create_task(self._send(wire))
        try:
            async with aclosing(self._lines(wire)) as lines:
                async for line in lines:
                    for answer in self._in_order(self._answer(line)):
                        self._room.release()
                        yield answer
            if self._waiting or not self._ended:
                raise NoAnswerError("The service ended the stream before everything was answered.")
        finally:
            sending.cancel()
            wire.close()

    async def _send(self, wire: Wire) -> None:
        places = itertools.count(1)
        with suppress(NoAnswerError):  # the other direction breaks as well, and tells
            while True:
                while self._unsent:
                    number = self._unsent.popleft()
                    self._number_of[next(places)] = number
                    await wire.send(self._waiting[number].line)
                if self._ended:
                    await wire.end()
                    return
                self._news.clear()
                try:
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                        await self._news.wait()
                except TimeoutError:
                    next(places)  # the service counts empty lines, too
                    await wire.send(b"\n")

    async def _lines(self, wire: Wire) -> AsyncGenerator[bytes, None]:
        """Whole lines of the answer.

        Raises:
            NoAnswerError: none came for the time allowed, and one is due; or the connection was cut.
        """
        rest, parts = b"", wire.parts()
        coming: asyncio.Task[bytes | None] | None = None
        try:
            while True:
                coming = coming or asyncio.create_task(_next_part(parts))
                done, _ = await asyncio.wait({coming}, timeout=self._endpoint.timeout)
                if done:
                    part, coming = coming.result(), None
                    if part is None:
                        return
                    *whole, rest = (rest + part).split(b"\n")
                    for line in whole:
                        yield line
                elif self._number_of or self._ended:
                    raise NoAnswerError(f"No line was answered for {self._endpoint.timeout:g} s.")
        finally:
            if coming:
                coming.cancel()

    def _answer(self, line: bytes) -> LineOut | RefusedLine:
        """An answer with the number of its ad in the whole stream.

        Raises:
            ProblemResponse: it is the last, and says why the service ended the stream.
            BadAnswerError: it is not of the contract, or answers nothing that was sent.
        """
        try:
            said = json.loads(line)
            if "line" not in said:
                ended = parsed(StreamProblem, line, f"POST {PATH}")
                raise ProblemResponse(ended.problem, ended.retry_after)
            number = self._number_of.pop(said["line"])
        except (ValueError, LookupError, TypeError):
            raise BadAnswerError("A line of the stream's answer is not what the contract says.") from None
        sent = self._waiting.pop(number)
        if "problem" not in said:
            return parsed(LineOut, line, f"POST {PATH}").model_copy(update={"line": number})
        problem = parsed(LineProblem, line, f"POST {PATH}").problem
        return RefusedLine(line=number, id=sent.id, problem=problem)

    def _in_order(self, answer: LineOut | RefusedLine) -> Iterator[LineOut | RefusedLine]:
        """What can be given now: a stream that was ended may have left out a line before this one."""
        if self._order == "done":
            yield answer
            return
        self._early[answer.line] = answer
        while (due := self._early.pop(self._next, None)) is not None:
            self._next += 1
            yield due


async def _next_part(parts: AsyncIterator[bytes]) -> bytes | None:
    return await anext(parts, None)


async def _in_a_thread(ads: Iterable[AdLike]) -> AsyncIterator[AdLike]:
    """What an ordinary iterable gives. It may block for long, a queue say, so it has a thread, which reads one ahead."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Queue[tuple[AdLike | None, BaseException | None]] = asyncio.Queue()
    wanted = threading.Semaphore(1)
    stopped = False

    def read() -> None:
        last: tuple[AdLike | None, BaseException | None] = (None, None)
        try:
            for ad in ads:
                wanted.acquire()
                if stopped:
                    return
                loop.call_soon_threadsafe(ready.put_nowait, (ad, None))
        except Exception as error:
            last = (None, error)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(ready.put_nowait, last)

    # A daemon: a source that never gives anything again must not keep the program alive.
    threading.Thread(target=read, name="signaal-ads", daemon=True).start()
    try:
        while True:
            ad, error = await ready.get()
            if error:
                raise error
            if ad is None:
                return
            yield ad
            wanted.release()
    finally:
        stopped = True
        wanted.release()


def _id_of(ad: AdLike) -> str | None:
    given = ad.id if isinstance(ad, Ad) else ad.get("id")
    return None if given is None else str(given)
