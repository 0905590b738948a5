"""The name that a request calls the server by (``Host``): without keys it must be one of this machine's own.

A web page, opened here, can have its own name stand for 127.0.0.1 (DNS rebinding). The browser then takes this server for the
page's own and lets the page ask and read whatever it likes; ``Host`` still says the page's name. Starlette's
``TrustedHostMiddleware`` cannot read ``[::1]:8080``, and its answer is no problem document.
"""

import re
from collections.abc import Collection

from fastapi import FastAPI, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.problems import MISDIRECTED, problem_response
from serving.settings import ServingSettings, is_loopback

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:]+)(?::[0-9]*)?")

DETAIL = "Without keys this server answers to localhost, 127.0.0.1 and [::1], and to the names in its SIGNAAL_SERVE_HOSTS."


def check_hosts(app: FastAPI, settings: ServingSettings) -> None:
    """Let ``app`` refuse requests for other hosts, unless callers need keys: no page has one."""
    if not settings.wants_keys:
        app.add_middleware(OwnHosts, also=settings.hosts)


class OwnHosts:
    """ASGI middleware: 421 for a request whose host is neither this machine's loopback nor named.

    Args:
        app: what is within.
        also: names without a port, in small letters.
    """

    def __init__(self, app: ASGIApp, also: Collection[str]) -> None:
        self.app, self._also = app, frozenset(also)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_own(Headers(scope=scope).get("host", "")):
            await problem_response(Request(scope), MISDIRECTED, DETAIL)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _is_own(self, said: str) -> bool:
        found = _HOST.fullmatch(said.lower())
        return found is not None and (is_loopback(found[1].strip("[]")) or found[1] in self._also)
