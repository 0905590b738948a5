"""A connection of the server: uvicorn's own, but that nobody can hold one for ever without a request or with an answer unread,
and that bytes which are no request are refused in words, and the words arrive.

uvicorn counts the seconds without a request only after an answer, and the first byte ends them; before the first request, and for
half a head, it waits for ever. Here they count from the beginning, and until a head is complete. What still comes of a body that
was refused unread falls under them too.

For a caller who does not read uvicorn waits for ever as well: a stream that cannot send holds its place among the requests, and
what is left of an answer stays in memory. Here the connection is cut off when nothing was taken for as many seconds.

uvicorn closes the connection as soon as it has refused a head. If bytes then wait unread, as when it is too large, the system
resets the connection, and the caller may never see the answer. So what still comes is read, and dropped, for a moment.
"""

import sys
from asyncio import TimerHandle, Transport

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from serving.problem_document import MEDIA_TYPE
from serving.problems import HEAD_TOO_LARGE, NOT_HTTP, problem_of

LINGER_SECONDS = 2.0


class Connection(H11Protocol):
    """For ``uvicorn.Config(http=…)``."""

    _is_refused = False
    _until_cut_off: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # writing is paused as long as a single byte waits to be taken
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_waiting()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait_until_taken()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_waiting()

    def _wait_until_taken(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        self._until_cut_off = self.loop.call_later(self.timeout_keep_alive, self._cut_off_unless_less_than, unsent)

    def _cut_off_unless_less_than(self, unsent: int) -> None:
        if self.transport.get_write_buffer_size() < unsent:
            self._wait_until_taken()
        else:
            self.transport.abort()

    def _stop_waiting(self) -> None:
        if self._until_cut_off is not None:
            self._until_cut_off.cancel()

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
