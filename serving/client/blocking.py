"""The client for programs that wait."""

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Generator, Iterable, Mapping
from types import TracebackType
from typing import Self, TypeVar

import httpx
from pydantic import BaseModel

from serving.answers import FeedbackAnswer, HealthAnswer, IndicatorsAnswer, LimitsOut, LineOut, ModelAnswer, ModelsAnswer
from serving.client import messages
from serving.client.line_stream import LineStream, Order, RefusedLine
from serving.client.messages import AdLike, Call
from serving.client.retries import Retries, no_answer
from serving.client.wire import Endpoint

Answer = TypeVar("Answer", bound=BaseModel)
Answers = AsyncGenerator[LineOut | RefusedLine, None]


class SignaalClient:
    """Calls the scoring API. Every method raises ``ClientError``: ``ProblemResponse`` when the service says what is wrong,
    ``NoAnswerError`` when there was no answer within the budget, ``BadAnswerError`` when it cannot be read.

    Calls are repeated when the service is busy (429, 503), cannot be reached or breaks off; never after any other 4xx. All
    calls are safe to repeat. May be shared by threads.

    Args:
        url: where the service listens; may have a path.
        api_key: sent as ``Authorization: Bearer``; ``SIGNAAL_API_KEY`` when None.
        timeout: seconds that one try may wait for the connection, or for the next part of the answer.
        budget: seconds within which the last try of a call begins; for a stream, counted from the last answer.
        verify: a context with your own authorities, where the service's certificate needs one.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8080",
        *,
        api_key: str | None = None,
        timeout: float = 60,
        budget: float = 120,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        headers = messages.headers_of(api_key)
        self._budget = budget
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, verify=verify)
        self._endpoint = Endpoint(httpx.URL(url), headers, timeout, budget, verify)
        self._limits: LimitsOut | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, way: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def score(
        self,
        ads: Iterable[AdLike],
        *,
        indicators: Iterable[str] | None = None,
        evidence: bool = True,
        model: str | None = None,
        wait: float | None = None,
    ) -> list[LineOut]:
        """Score ads; more than one request holds go out as several, one after another.

        Args:
            ads: each with ``id`` and ``text``, and ``language`` when it is known.
            indicators: only these labels; all when None.
            evidence: whether to say which words each label was seen in.
            model: an alias, a version or a digest; the champion when None.
            wait: seconds that the service may let each request wait for its turn, and no longer than its own limit.

        Returns:
            A result for each ad, in order, with the model that gave it: it may change between two requests unless it is pinned.
        """
        encoded = [messages.encoded_ad(ad) for ad in ads]
        limits = self._known_limits() if len(encoded) > 1 else None
        wishes = list(indicators) if indicators is not None else None
        calls = messages.score_calls(encoded, limits, indicators=wishes, evidence=evidence, model=model, wait=wait)
        return [one for first, call in calls for one in messages.scored(first, self._call(call))]

    def score_stream(
        self,
        ads: Iterable[AdLike],
        *,
        indicators: Iterable[str] | None = None,
        evidence: bool = True,
        model: str | None = None,
        order: Order = "input",
    ) -> Generator[LineOut | RefusedLine, None, None]:
        """Score ads as they come, for as long as they come, in constant memory; they are read in a thread of their own.

        Sending and reading go on while the caller asks for the next answer. When the connection is cut, what has no answer is
        sent again. Arguments as in ``score``; ``order="done"`` gives each answer as soon as it is there. Proxies are not used.

        Returns:
            An answer for each ad, with ``line``, its place from 1: a result, or why its text cannot be scored. Whatever else is
            in the way (the key, its quota, the service) is waited for within the budget, or raised. So keep an ad until its
            answer is there.
        """
        stream = LineStream(self._endpoint, indicators=indicators, evidence=evidence, model=model, order=order)
        answers = stream.answers(ads)
        with asyncio.Runner() as runner:
            try:
                while (answer := runner.run(_next(answers))) is not None:
                    yield answer
            finally:
                runner.run(_close(answers))

    def indicators(self) -> IndicatorsAnswer:
        """What is scored: the taxonomy of the champion, and its thresholds."""
        return self._call(messages.INDICATORS)

    def model(self) -> ModelAnswer:
        """Which model answers, how good it is, what it is not for, and what one request may hold."""
        return self._call(messages.MODEL)

    def models(self) -> ModelsAnswer:
        """The models in service, and how the challenger differs from the champion."""
        return self._call(messages.MODELS)

    def ready(self, timeout: float = 0) -> HealthAnswer:
        """Wait until a model is loaded, at most ``timeout`` seconds."""
        return self._call(messages.READY, Retries(timeout, longest=1, obedient=False))

    def feedback(self, items: Iterable[Mapping[str, object]], idempotency_key: str | None = None) -> FeedbackAnswer:
        """Tell what a reviewer found.

        Args:
            items: each with ``id`` and ``labels``; see ``docs/serving.md``.
            idempotency_key: by which the service knows a repetition; a new one when None. Give your own when you may repeat the
                call after a restart of your program.

        Returns:
            How many items, and under which numbers they are stored for good.
        """
        return self._call(messages.feedback_call(items, idempotency_key))

    def _known_limits(self) -> LimitsOut:
        if self._limits is None:
            self._limits = self.model().limits
        return self._limits

    def _call(self, call: Call[Answer], retries: Retries | None = None) -> Answer:
        retries = retries or Retries(self._budget)
        while True:
            try:
                response = self._http.request(call.method, call.path, content=call.content, headers=call.headers)
            except httpx.TransportError as error:
                failure = no_answer(error)
            else:
                if response.is_success:
                    return messages.read_answer(call, response)
                failure = messages.problem_response(response.status_code, response.headers, response.content)
            time.sleep(retries.pause_after(failure))


async def _next(answers: Answers) -> LineOut | RefusedLine | None:
    return await anext(answers, None)


async def _close(answers: Answers) -> None:
    await answers.aclose()
