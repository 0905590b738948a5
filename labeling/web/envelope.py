"""What goes around every request: safe headers, a limit to what is sent, a net for errors, one line of log without addresses."""

import logging
import time
import traceback

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labeling.web.problems import bare_answer

log = logging.getLogger("signaal.label")

MOST_BYTES = 262_144
"""Of a request: an opinion with 500 spans and the longest comment is a quarter of it."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser would not name the page's own address to labeling.web.https
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class TooLargeError(Exception):
    """The body of a request is larger than ``MOST_BYTES``."""


class Envelope:
    """ASGI middleware; the outermost."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, received = time.perf_counter(), 0, 0

        async def receive_some() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MOST_BYTES:
                raise TooLargeError
            return message

        async def send_enveloped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                # A page holds words of an ad, so no cache may keep it; the files of the pages may be checked and reused.
                headers["Cache-Control"] = "no-cache" if scope["path"].startswith("/static/") else "no-store"
            await send(message)

        try:
            if _announced(scope) > MOST_BYTES:
                raise TooLargeError
            await self.app(scope, receive_some, send_enveloped)
        except TooLargeError:
            if status == 0:
                await bare_answer(Request(scope), 413, "too-large")(scope, receive, send_enveloped)
        except Exception as error:
            # The message of an unforeseen error may hold a text, so only its kind and the way to it are written down.
            way = "".join(traceback.format_tb(error.__traceback__))
            log.error("unforeseen %s\n%s", type(error).__qualname__, way)
            if status == 0:
                await bare_answer(Request(scope), 500, "broken")(scope, receive, send_enveloped)
        finally:
            # The route's own path: an address as sent may be anything.
            route = getattr(scope.get("route"), "path", "-")
            method = scope["method"] if scope["method"] in METHODS else "other"
            log.info("request method=%s route=%s status=%d ms=%d", method, route, status, (time.perf_counter() - began) * 1000)


def _announced(scope: Scope) -> int:
    length = Headers(scope=scope).get("Content-Length", "0")
    return int(length) if length.isdecimal() else 0
