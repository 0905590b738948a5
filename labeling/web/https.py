"""Whether a network could read what a browser and this server say to one another.

A proxy on the same machine makes this hard to tell: it may ask for ``127.0.0.1`` in its own name, whoever asked the proxy. So
everything that a request says of its way must speak of this machine, and where anything speaks of elsewhere HTTPS is needed.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Request

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def needs_https(request: Request) -> bool:
    """Whether cookies and passwords may go over HTTPS alone; false only for a browser on this very machine."""
    if request.url.scheme == "https":
        return True
    forwarded = any(name == "forwarded" or name.startswith("x-forwarded-") for name in request.headers)
    return forwarded or not (_asked_for_loopback(request) and _comes_from_loopback(request))


def _asked_for_loopback(request: Request) -> bool:
    """By the address that was asked for, and by that of the page as the browser itself names it, which proxies leave alone."""
    origin = request.headers.get("Origin", "null")  # with forms; "null" when a browser keeps it to itself
    return request.url.hostname in LOOPBACK and (origin == "null" or urlsplit(origin).hostname in LOOPBACK)


def _comes_from_loopback(request: Request) -> bool:
    try:
        return request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:  # a socket of another kind: only a proxy has such
        return False
