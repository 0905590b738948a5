"""What goes out and what comes back, without a connection: calls, how ads are cut into requests, and how answers are read."""

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from serving.answers import (
    FeedbackAnswer,
    HealthAnswer,
    IndicatorsAnswer,
    LimitsOut,
    LineOut,
    ModelAnswer,
    ModelsAnswer,
    ScoreAnswer,
)
from serving.client.errors import BadAnswerError, ProblemResponse
from serving.client.retries import seconds_of
from serving.problem_document import Problem
from serving.schemas import Ad

API_KEY = "SIGNAAL_API_KEY"

AdLike = Ad | Mapping[str, object]
"""An ad: ``{"id": …, "text": …, "language": …}``, the last one optional."""

Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One request, and the form of its answer."""

    method: str
    path: str
    answer: type[Answer]
    content: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


READY = Call("GET", "/readyz", HealthAnswer)
INDICATORS = Call("GET", "/v1/indicators", IndicatorsAnswer)
MODEL = Call("GET", "/v1/model", ModelAnswer)
MODELS = Call("GET", "/v1/models", ModelsAnswer)


def headers_of(api_key: str | None) -> dict[str, str]:
    """Headers of every request; the key from the environment when None."""
    key = api_key or os.environ.get(API_KEY)
    return {"User-Agent": "signaal-client", **({"Authorization": f"Bearer {key}"} if key else {})}


def encoded(thing: object) -> bytes:
    """JSON on one line. Half a surrogate pair goes out as it is: the service says which ad it spoils."""
    return json.dumps(thing, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def encoded_ad(ad: AdLike) -> bytes:
    """An ad as JSON on one line."""
    return encoded(ad.model_dump() if isinstance(ad, Ad) else dict(ad))


def score_calls(
    ads: Sequence[bytes], limits: LimitsOut | None, *, indicators: Iterable[str] | None, evidence: bool, model: str | None,
    wait: float | None,
) -> Iterator[tuple[int, Call[ScoreAnswer]]]:  # fmt: skip
    """Requests for encoded ads, each with the place of its first; one request when ``limits`` is None."""
    wishes: dict[str, object] = {"evidence": evidence}
    if indicators is not None:
        wishes["indicators"] = list(indicators)
    if model is not None:
        wishes["model"] = model
    begin, end = b'{"ads":[', b"]," + encoded(wishes)[1:]
    headers = {"Content-Type": "application/json", **({} if wait is None else {"Prefer": f"wait={wait:.0f}"})}
    for first, part in _parts(ads, limits, len(begin) + len(end)):
        yield first, Call("POST", "/v1/score", ScoreAnswer, begin + b",".join(part) + end, headers)


def _parts(ads: Sequence[bytes], limits: LimitsOut | None, around: int) -> Iterator[tuple[int, list[bytes]]]:
    part: list[bytes] = []
    first = size = 0
    for place, ad in enumerate(ads):
        too_many = limits is not None and len(part) == limits.max_ads
        too_large = limits is not None and around + size + len(ad) > limits.max_body_bytes
        if part and (too_many or too_large):
            yield first, part
            part, first, size = [], place, 0
        part.append(ad)
        size += len(ad) + 1  # and a comma
    if part:
        yield first, part


def scored(first: int, answer: ScoreAnswer) -> list[LineOut]:
    """Results with their place in the whole, from 1, and the model that gave them."""
    return [
        LineOut(line=first + place, model=answer.model, **dict(result)) for place, result in enumerate(answer.results, start=1)
    ]


def feedback_call(items: Iterable[Mapping[str, object]], idempotency_key: str | None) -> Call[FeedbackAnswer]:
    """With a key, new or the caller's own, by which the service knows a repetition."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key or str(uuid.uuid4())}
    return Call("POST", "/v1/feedback", FeedbackAnswer, encoded({"items": [dict(item) for item in items]}), headers)


def read_answer(call: Call[Answer], response: httpx.Response) -> Answer:
    """What a success says.

    Raises:
        BadAnswerError: it is not of the form that the contract has.
    """
    return parsed(call.answer, response.content, f"{call.method} {call.path}")


def parsed(form: type[Answer], raw: bytes, where: str) -> Answer:
    """``raw`` as ``form``.

    Raises:
        BadAnswerError: names what does not fit, and not what it is: evidence is words of an ad.
    """
    try:
        return form.model_validate_json(raw)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(map(str, wrong["loc"])) or "the whole"
        said = f"The answer to {where} is not what the contract says: {place} ({wrong['type']})."
    raise BadAnswerError(said)  # outside: pydantic's error holds the answer


def problem_response(status: int, headers: Mapping[str, str], content: bytes) -> ProblemResponse:
    """An answer that is no success, as an error; ``headers`` have names in small letters."""
    retry_after = seconds_of(headers.get("retry-after"), headers.get("date"))
    try:
        problem = Problem.model_validate_json(content)
    except ValidationError:
        detail = "Something between here and the service answered, or another service: there is no problem document."
        problem = Problem(type="about:blank", title="Unexpected answer", status=status, detail=detail)
    return ProblemResponse(problem.model_copy(update={"status": status}), retry_after)
