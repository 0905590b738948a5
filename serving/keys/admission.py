"""Which address wants which scope, and the check that every request passes before its body is read.

An address that is in no list here wants ``admin``: what somebody forgot to list is shut, not open.
"""

import re
from collections.abc import Collection

from fastapi import Request

from serving.keys.allowance import Allowance
from serving.keys.guard import Guard, no_valid_key
from serving.keys.secret import read_token
from serving.keys.store import Scope
from serving.problems import MISSING_SCOPE, ProblemError

OPEN = frozenset({"/", "/healthz", "/readyz"})
SCOPES: dict[str, Scope] = {
    "/v1/score": Scope.SCORE,
    "/v1/score/stream": Scope.SCORE,
    "/v1/indicators": Scope.SCORE,
    "/v1/model": Scope.SCORE,
    "/v1/models": Scope.SCORE,
    "/v1/feedback": Scope.FEEDBACK,
    "/metrics": Scope.METRICS,
}

_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)


def scope_of(path: str) -> Scope | None:
    """The scope that a route wants, by its path as declared; None when it is open to all."""
    return None if path in OPEN else SCOPES.get(path, Scope.ADMIN)


def opens(scopes: Collection[str], wanted: Scope) -> bool:
    """Whether a key of these scopes is let in. ``admin`` reads the figures, too; no other scope includes another."""
    return wanted in scopes or (wanted is Scope.METRICS and Scope.ADMIN in scopes)


async def admit(request: Request) -> None:
    """Let the request in, or end it. Leaves ``key_id`` and ``allowance`` in its state when keys are in use.

    Raises:
        ProblemError: there is no good key (401), or it lacks the scope (403), or keys cannot be checked (503).
    """
    guard: Guard | None = request.app.state.guard
    wanted = scope_of(request.scope["route"].path)
    if guard is None or wanted is None:
        request.state.allowance = None
        return
    said = _BEARER.fullmatch(request.headers.get("authorization", ""))
    if said is None:
        raise no_valid_key("Send a key: 'Authorization: Bearer sgnl_…'.", "")
    if (shown := read_token(said[1])) is None:
        raise no_valid_key()
    allowance = Allowance(guard, shown)
    key = await allowance.key()
    request.state.key_id = key.id
    if not opens(key.scopes, wanted):
        told = f'Bearer realm="signaal", error="insufficient_scope", scope="{wanted}"'
        raise ProblemError(MISSING_SCOPE, f"This needs the scope '{wanted}'.", headers={"WWW-Authenticate": told})
    request.state.allowance = allowance
    request.state.answer_headers = allowance.headers
