"""The client for programs on asyncio."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
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


class AsyncSignaalClient:
    """``SignaalClient``, awaited: same arguments, same errors. For one event loop."""

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
        self._http = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout, verify=verify)
        self._endpoint = Endpoint(httpx.URL(url), headers, timeout, budget, verify)
        self._limits: LimitsOut | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, way: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def score(
        self,
        ads: Iterable[AdLike],
        *,
        indicators: Iterable[str] | None = None,
        evidence: bool = True,
        model: str | None = None,
        wait: float | None = None,
    ) -> list[LineOut]:
        """As ``SignaalClient.score``."""
        encoded = [messages.encoded_ad(ad) for ad in ads]
        limits = await self._known_limits() if len(encoded) > 1 else None
        wishes = list(indicators) if indicators is not None else None
        calls = messages.score_calls(encoded, limits, indicators=wishes, evidence=evidence, model=model, wait=wait)
        return [one for first, call in calls for one in messages.scored(first, await self._call(call))]

    def score_stream(
        self,
        ads: Iterable[AdLike] | AsyncIterable[AdLike],
        *,
        indicators: Iterable[str] | None = None,
        evidence: bool = True,
        model: str | None = None,
        order: Order = "input",
    ) -> AsyncGenerator[LineOut | RefusedLine, None]:
        """As ``SignaalClient.score_stream``; ``ads`` may be asynchronous. Close the generator (``contextlib.aclosing``) when you
        stop before its end."""
        stream = LineStream(self._endpoint, indicators=indicators, evidence=evidence, model=model, order=order)
        return stream.answers(ads)

    async def indicators(self) -> IndicatorsAnswer:
        """What is scored: the taxonomy of the champion, and its thresholds."""
        return await self._call(messages.INDICATORS)

    async def model(self) -> ModelAnswer:
        """Which model answers, how good it is, what it is not for, and what one request may hold."""
        return await self._call(messages.MODEL)

    async def models(self) -> ModelsAnswer:
        """The models in service, and how the challenger differs from the champion."""
        return await self._call(messages.MODELS)

    async def ready(self, timeout: float = 0) -> HealthAnswer:
        """Wait until a model is loaded, at most ``timeout`` seconds."""
        return await self._call(messages.READY, Retries(timeout, longest=1, obedient=False))

    async def feedback(self, items: Iterable[Mapping[str, object]], idempotency_key: str | None = None) -> FeedbackAnswer:
        """As ``SignaalClient.feedback``."""
        return await self._call(messages.feedback_call(items, idempotency_key))

    async def _known_limits(self) -> LimitsOut:
        if self._limits is None:
            self._limits = (await self.model()).limits
        return self._limits

    async def _call(self, call: Call[Answer], retries: Retries | None = None) -> Answer:
        retries = retries or Retries(self._budget)
        while True:
            try:
                response = await self._http.request(call.method, call.path, content=call.content, headers=call.headers)
            except httpx.TransportError as error:
                failure = no_answer(error)
            else:
                if response.is_success:
                    return messages.read_answer(call, response)
                failure = messages.problem_response(response.status_code, response.headers, response.content)
            await asyncio.sleep(retries.pause_after(failure))
