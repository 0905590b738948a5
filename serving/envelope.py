"""What goes around every request: an id, safe headers, a net for errors; a line of log, figures and a span, without texts."""

import logging
import re
import time
import uuid

from fastapi import Request
from opentelemetry.trace import Span
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.logs import way_to
from serving.metrics import Metrics
from serving.problems import unexpected_response
from serving.request_entry import CURRENT, RequestEntry
from serving.tracing import TRACEPARENT, Tracing, describe

access_log = logging.getLogger("signaal.access")
error_log = logging.getLogger("signaal.serve")

REQUEST_ID = "X-Request-ID"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
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
    # The page needs none of these, so nothing that got into it can have them either.
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), display-capture=(), payment=(), usb=(), serial=(), hid=()",
}


class Envelope:
    """ASGI middleware; the outermost of ours.

    Args:
        app: what is within.
        metrics: where figures go; its own, which nobody reads, when None.
        tracing: where spans go; nowhere when None.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics | None = None, tracing: Tracing | None = None) -> None:
        self.app, self._metrics, self._tracing = app, metrics or Metrics(), tracing or Tracing()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        entry = RequestEntry(self._metrics)
        CURRENT.set(entry)  # a request has a context of its own
        status = 0

        async def send_enveloped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                headers.update(HEADERS)
                headers.update(scope["state"].get("answer_headers", {}))
                # An answer holds words of an ad: no cache may keep it. The page's own files may be checked and reused.
                headers["Cache-Control"] = "no-cache" if _is_page(scope) else "no-store"
            await send(message)

        with self._tracing.request(Headers(scope=scope).get(TRACEPARENT, "")) as span:
            try:
                await self.app(scope, receive, send_enveloped)
            except Exception as error:
                # The message of an unforeseen error may hold a text, so only its kind and the way to it are written down.
                error_log.error("%s: unforeseen %s\n%s", request_id, type(error).__qualname__, way_to(error))
                if status == 0:
                    await unexpected_response(Request(scope))(scope, receive, send_enveloped)
            finally:
                self._write_down(scope, entry, span, status, time.perf_counter() - began)

    def _write_down(self, scope: Scope, entry: RequestEntry, span: Span, status: int, seconds: float) -> None:
        method, route = scope["method"], _route(scope)
        method = method if method in METHODS else "other"  # HTTP allows any word
        self._metrics.requests.labels(route, method, str(status)).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        describe(span, method, route, status, entry.ads)
        fields = {
            "request_id": scope["state"]["request_id"],
            "trace_id": f"{span.get_span_context().trace_id:032x}" if span.is_recording() else None,
            "method": method,
            "route": route,
            "status": status,
            "duration_ms": round(seconds * 1000),
            "ads": entry.ads or None,
            "problem": entry.problem,
            "model": entry.model,
            "key_id": scope["state"].get("key_id"),
        }
        access_log.info("request", extra={name: value for name, value in fields.items() if value is not None})


def _request_id(scope: Scope) -> str:
    """The caller's id when it is a plain one, else a new one."""
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if SAFE_ID.fullmatch(given) else uuid.uuid4().hex


def _route(scope: Scope) -> str:
    """The route's own path. The address as sent may be anything, a text too, and its query likewise."""
    return getattr(scope.get("route"), "path", None) or ("/playground" if _is_page(scope) else "-")


def _is_page(scope: Scope) -> bool:
    return bool(scope["path"] == "/" or scope["path"].startswith("/playground/"))
