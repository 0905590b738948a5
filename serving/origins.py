"""Whose pages may call the API from a browser: nobody's but our own, unless they are named."""

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware


def allow_origins(app: FastAPI, origins: Sequence[str]) -> None:
    """Let pages of these origins call with a key of their own. Cookies are of no use here, so none are let through."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Prefer", "X-Request-ID"],
            expose_headers=["Deprecation", "RateLimit", "RateLimit-Policy", "Retry-After", "Sunset", "X-Request-ID"],
        )
