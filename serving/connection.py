"""A connection: whoever has one open without a request has some seconds until the head of the next one must be there.

uvicorn counts these seconds only after an answer, and the first byte ends them; before the first request, and for half a head, it
waits for ever. What still comes of a body that was refused unread falls under them too.
"""

from asyncio import Transport

from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """uvicorn's connection, with ``timeout_keep_alive`` from its beginning on, and until a head is complete."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def data_received(self, data: bytes) -> None:
        self.conn.receive_data(data)
        self.handle_events()  # ends the time when there is a request
