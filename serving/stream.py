"""``POST /v1/score/stream``: what may be asked of a stream, and the response that is one."""

import asyncio
import threading
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from serving.body import check_media_type, pick_or_refuse
from serving.errors import CallerLeftError
from serving.exchange import Exchange, Order, StreamOptions
from serving.fleet import Fleet
from serving.problem_document import FieldError
from serving.problems import INVALID, ProblemError
from serving.schemas import Ad, Limits, unknown_label
from serving.settings import ServingSettings

MEDIA_TYPE = "application/x-ndjson"
MEDIA_TYPES = (MEDIA_TYPE, "application/ndjson", "application/jsonl", "application/jsonlines")

LINGER_SECONDS = 2.0
"""How long a stream that the service ended is still read from, at most. Where bytes wait unread a closed connection is reset,
and a caller who is sending may then lose the line that says why."""


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
                exchange = Exchange(self._fleet, self._options, group, receive, send, self._stopping)
                reading = group.create_task(exchange.read())
                if await exchange.write():
                    await send({"type": "http.response.body", "body": b""})
                else:  # without its end, whoever does not look at the last line sees a stream cut off
                    await asyncio.wait({reading}, timeout=LINGER_SECONDS)
                reading.cancel()
        except* CallerLeftError:
            pass  # the group stopped what was under way


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
        retry_after_seconds=settings.retry_after_seconds,
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
