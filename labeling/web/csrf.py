"""Against requests that another site makes in a reviewer's name.

Cookies are ``SameSite=Strict`` already. Beside that, whatever changes something must carry a token made from the visitor's own
cookie, which no other site can read; and a browser that says it comes from another site is not believed.
"""

import hashlib
import hmac

from fastapi import Request

from labeling.web.errors import ForgedRequestError

HEADER = "X-CSRF-Token"
FIELD = "csrf"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def csrf_token(cookie: str) -> str:
    """The token that goes with a cookie. It cannot be turned back into the cookie, so it may stand in a page."""
    return hashlib.sha256(b"signaal form token\0" + cookie.encode()).hexdigest()


async def check_csrf(request: Request, cookie: str) -> None:
    """Refuse a request that changes something and does not come from our own page.

    Raises:
        ForgedRequestError: the token is missing or another one's, or the browser names another site.
    """
    if request.method in SAFE:
        return
    sent = request.headers.get(HEADER)
    if sent is None and request.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        sent = str((await request.form()).get(FIELD, ""))
    same_site = request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none")
    if not cookie or not same_site or not hmac.compare_digest((sent or "").encode(), csrf_token(cookie).encode()):
        raise ForgedRequestError
