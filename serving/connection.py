"""A connection of the server: uvicorn's own, but that nobody can hold one for ever without a request, and that bytes which are no
request are refused in words, and the words arrive.

uvicorn counts the seconds without a request only after an answer, and the first byte ends them; before the first request, and for
half a head, it waits for ever. Here they count from the beginning, and until a head is complete. What still comes of a body that
was refused unread falls under them too.

uvicorn closes the connection as soon as it has refused a head. If bytes then wait unread, as when it is too large, the system
resets the connection, and the caller may never see the answer. So what still comes is read, and dropped, for a moment.
"""

import sys
from asyncio import Transport

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from serving.problem_document import MEDIA_TYPE
from serving.problems import HEAD_TOO_LARGE, NOT_HTTP, problem_of

LINGER_SECONDS = 2.0


class Connection(H11Protocol):
    """For ``uvicorn.Config(http=…)``."""

    _is_refused = False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def data_received(self, data: bytes) -> None:
        """What comes after a refusal is dropped."""
        if not self._is_refused:
            self.conn.receive_data(data)
            self.handle_events()  # ends the time when there is a request

    def send_400_response(self, msg: str) -> None:
        """Refuse what came; uvicorn calls it while it handles h11's error, and its ``msg`` says nothing that ours does not."""
        self._is_refused = True
        if self.cycle is not None and not self.cycle.response_complete:  # the rest of a body is no HTTP: there is no caller now
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # an answer has begun; it is cut off
            self.transport.close()
            return
        error = sys.exception()
        is_too_large = isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == HEAD_TOO_LARGE.status
        kind = HEAD_TOO_LARGE if is_too_large else NOT_HTTP
        detail = "Send fewer or shorter headers." if is_too_large else "What came cannot be read; the connection is closed."
        body = problem_of(kind, detail).model_dump_json().encode()
        headers = [("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body))), ("Connection", "close")]
        for event in (h11.Response(status_code=kind.status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)
