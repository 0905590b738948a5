"""The Python client of the scoring API: ``SignaalClient``, and ``AsyncSignaalClient`` for asyncio. docs/clients.md says
how to install it without the rest."""

from serving.client.asynchronous import AsyncSignaalClient
from serving.client.blocking import SignaalClient
from serving.client.errors import BadAnswerError, ClientError, NoAnswerError, ProblemResponse
from serving.client.line_stream import RefusedLine

__all__ = [
    "AsyncSignaalClient",
    "BadAnswerError",
    "ClientError",
    "NoAnswerError",
    "ProblemResponse",
    "RefusedLine",
    "SignaalClient",
]
