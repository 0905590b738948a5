"""What goes around every request: an id, safe headers, an access log without texts, and a last net for errors."""

import logging
import re
import time
import traceback
import uuid

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import unexpected_response

access_log = logging.getLogger("signaal.access")
error_log = logging.getLogger("signaal.serve")

REQUEST_ID = "X-Request-ID"
SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Envelope:
    """ASGI middleware; the outermost of ours."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def send_enveloped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                for name, value in HEADERS.items():
                    headers[name] = value
                # An answer holds words of an ad: no cache may keep it. The page's own files may be checked and reused.
                headers["Cache-Control"] = "no-cache" if _is_page(scope) else "no-store"
            await send(message)

        try:
            await self.app(scope, receive, send_enveloped)
        except Exception as error:
            # The message of an unforeseen error may hold a text, so only its kind and the way to it are written down.
            way = "".join(traceback.format_tb(error.__traceback__))
            error_log.error("%s: unforeseen %s\n%s", request_id, type(error).__qualname__, way)
            if status == 0:
                await unexpected_response(Request(scope))(scope, receive, send_enveloped)
        finally:
            milliseconds = (time.perf_counter() - began) * 1000
            access_log.info("%s %s %s %d %.0f ms", request_id, scope["method"], _route(scope), status, milliseconds)


def _request_id(scope: Scope) -> str:
    """The caller's id when it is a plain one, else a new one."""
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if SAFE_ID.fullmatch(given) else uuid.uuid4().hex


def _route(scope: Scope) -> str:
    """The route's own path. The address as sent may be anything, a text too, and its query likewise."""
    return getattr(scope.get("route"), "path", None) or ("/playground" if _is_page(scope) else "-")


def _is_page(scope: Scope) -> bool:
    return bool(scope["path"] == "/" or scope["path"].startswith("/playground/"))
