"""One connection that sends a body while it reads the answer to it.

httpx sends a whole body before it reads; a stream whose answers hold back its lines would never end. So this is h11, on which
httpx stands too, over a connection of asyncio. Proxies are not used.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import h11
import httpx

from serving.client.errors import BadAnswerError, NoAnswerError
from serving.client.messages import problem_response

READ_BYTES = 64 * 1024
LONGEST_PROBLEM = 1024 * 1024
"""Bytes of an error that are read at most."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service is, and how to speak with it; times in seconds."""

    url: httpx.URL
    headers: Mapping[str, str] = field(repr=False)
    timeout: float
    budget: float
    verify: ssl.SSLContext | bool


class Wire:
    """A request under way."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._protocol = h11.Connection(our_role=h11.CLIENT)

    @classmethod
    async def open(cls, endpoint: Endpoint, path: str, query: Mapping[str, str], media_type: str) -> "Wire":
        """Connect, and send the head of a POST.

        Raises:
            NoAnswerError: nobody answers there.
        """
        url = endpoint.url.copy_with(path=endpoint.url.path.rstrip("/") + path, params=query)
        secure = httpx.create_ssl_context(verify=endpoint.verify) if url.scheme == "https" else None
        try:
            async with asyncio.timeout(endpoint.timeout):
                reader, writer = await asyncio.open_connection(url.host, url.port or (443 if secure else 80), ssl=secure)
        except (OSError, TimeoutError) as error:
            kind = type(error).__name__
            raise NoAnswerError(f"No connection ({kind}). Is the service running, and is the address right?") from None
        wire = cls(reader, writer)
        headers = {"Host": url.netloc.decode(), "Content-Type": media_type, "Transfer-Encoding": "chunked"}
        await wire._send(h11.Request(method="POST", target=url.raw_path, headers=[*{**headers, **endpoint.headers}.items()]))
        return wire

    async def send(self, data: bytes) -> None:
        """Send a part of the body; waits while the other side takes nothing.

        Raises:
            NoAnswerError: the connection was cut.
        """
        await self._send(h11.Data(data=data))

    async def end(self) -> None:
        """Say that the body is complete; raises as ``send``."""
        await self._send(h11.EndOfMessage())

    async def parts(self) -> AsyncIterator[bytes]:
        """The body of the answer as it comes.

        Raises:
            NoAnswerError: the connection was cut.
            ProblemResponse: the answer is no success.
            BadAnswerError: it is not HTTP.
        """
        head: h11.Response | None = None
        problem = b""
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data) and head is not None:
                if head.status_code == httpx.codes.OK:
                    yield bytes(event.data)
                elif len(problem) < LONGEST_PROBLEM:
                    problem += event.data
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                if head.status_code != httpx.codes.OK:
                    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
                    raise problem_response(head.status_code, headers, problem)
                return

    def close(self) -> None:
        """Cut the connection."""
        self._writer.transport.abort()

    async def _send(self, event: h11.Event) -> None:
        try:
            if data := self._protocol.send(event):
                self._writer.write(data)
                await self._writer.drain()
        except (OSError, h11.LocalProtocolError):
            raise _cut() from None

    async def _event(self) -> object:
        while True:
            try:
                event = self._protocol.next_event()
                if event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                    raise _cut()
                if event is not h11.NEED_DATA:
                    return event
                self._protocol.receive_data(await self._reader.read(READ_BYTES))
            except OSError:
                raise _cut() from None
            except h11.RemoteProtocolError:
                if self._reader.at_eof():
                    raise _cut() from None
                raise BadAnswerError("The answer is not HTTP/1.1.") from None


def _cut() -> NoAnswerError:
    return NoAnswerError("The connection was cut before the answer was complete.")
