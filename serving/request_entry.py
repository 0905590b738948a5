"""The entry of a request in the log and the metrics: how many ads, by which model, which problem. Counts and names, never words.

It is found through a context variable, because those who know these things (a route, a line of a stream, an error handler)
share nothing else.
"""

from contextvars import ContextVar
from dataclasses import dataclass

from serving.answers import ModelOut
from serving.metrics import Metrics


@dataclass(slots=True)
class RequestEntry:
    """What is noted while a request is answered."""

    metrics: Metrics
    ads: int = 0
    """Scored and answered."""
    model: str | None = None
    """Version of the model that answered last."""
    problem: str | None = None
    """Last part of the type of the problem, or of the last one in a stream."""


CURRENT: ContextVar[RequestEntry | None] = ContextVar("request_entry", default=None)


def note_scored(model: ModelOut, ads: int) -> None:
    """So many ads of this request have scores."""
    if (entry := CURRENT.get()) is not None:
        entry.ads += ads
        entry.model = model.version


def note_problem(slug: str) -> None:
    """A problem was the answer to this request, or to a line of it; ``slug`` is one of ``serving.problems``."""
    if (entry := CURRENT.get()) is not None:
        entry.problem = slug
        entry.metrics.rejected.labels(slug).inc()
