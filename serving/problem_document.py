"""The form of every error: an RFC 9457 problem document, as the service writes it and a client reads it."""

from pydantic import BaseModel, Field

from serving.answers import ModelOut

MEDIA_TYPE = "application/problem+json"


class FieldError(BaseModel):
    """One thing that is wrong, and where."""

    field: str = Field(examples=["ads[0].text"])
    pointer: str | None = Field(default=None, description="JSON Pointer into the body.", examples=["#/ads/0/text"])
    detail: str


class Problem(BaseModel):
    """An RFC 9457 problem document. ``errors``, ``request_id`` and ``model`` are its extensions."""

    type: str = Field(examples=["urn:signaal:problem:invalid-request"])
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []
    request_id: str | None = None
    model: ModelOut | None = Field(default=None, description="The loaded model; null while there is none.")


class LineProblem(BaseModel):
    """What stands in a stream for a line whose text cannot be scored; to send it again is of no use."""

    line: int
    problem: Problem


class StreamProblem(BaseModel):
    """The last line of a stream that the service ends before its time, because of the key, its quota, or the service itself.
    What was sent and has no answer is not scored and not counted."""

    problem: Problem
    retry_after: int | None = Field(default=None, description="Seconds after which to send it again, where that helps.")
