"""Settings of this room, from the environment (``SIGNAAL_SERVE_*``), and from files where they are secrets."""

import ipaddress
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.settings import ModelSettings
from serving.errors import SettingsError

PREFIX = "SIGNAAL_SERVE_"
SECRETS_DIR = "SIGNAAL_SECRETS_DIR"
"""Names a folder with one file a setting, called as its variable in small letters; the variable itself wins. So that a password
need not be in the environment, where every child process and `inspect` shows it."""


class ServingSettings(BaseSettings):
    """Where the API listens and how much it takes at once."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on. Other than loopback only with --allow-remote, and then callers need keys.",
    )
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    auth: Literal["off", "keys"] | None = Field(
        default=None,
        description="Whether callers need a key: 'keys', or 'off', which is refused beyond loopback. When not set: off on "
        "loopback, keys elsewhere.",
    )
    database_url: SecretStr = Field(
        default=SecretStr("sqlite:///signaal-serve.db"),
        description="Database of keys and daily quotas: sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/DATABASE (needs the "
        "extra 'postgres').",
    )
    hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Names beside localhost, 127.0.0.1 and [::1] that the server answers to when callers need no keys, with "
        "commas and without ports, such as desk.example.org; a request for another name gets 421.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Origins whose pages may call the API from a browser, with commas, such as https://desk.example.org; none "
        "by default.",
    )
    max_ads: int = Field(default=64, ge=1, description="Most ads in one request.")
    max_characters: int = Field(
        default=20_000, ge=1, description="Longest text in characters (Unicode code points), in requests and in files."
    )
    max_body_bytes: int = Field(
        default=8 * 1024 * 1024,
        ge=1024,
        description="Largest request body. The default holds 64 ads of 20,000 characters, each escaped as \\uXXXX.",
    )
    max_body_seconds: float = Field(
        default=120, gt=0, description="How long a request's body may take to come, from first to last."
    )
    max_bodies_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=1024 * 1024,
        description="Bytes of bodies that are held at once, of all requests together, each until it is answered; a request "
        "beyond that gets 503 and Retry-After. Of a stream the lines count that are not answered; it waits for room instead.",
    )
    max_requests: int = Field(
        default=1024,
        ge=1,
        description="Requests under way at once, streams too; one beyond that gets 503 and Retry-After, unless it asks for "
        "/healthz, /readyz or /metrics.",
    )
    max_waiting_ads: int = Field(
        default=1024, ge=1, description="Ads that may wait at once; a request beyond that gets 503 and Retry-After."
    )
    max_wait_seconds: float = Field(
        default=20,
        gt=0,
        description="Longest wait for the turn, by the server's own estimate; a request that would wait longer gets 503 and "
        "Retry-After at once. A caller may ask for less: Prefer: wait=5.",
    )
    retry_after_seconds: int = Field(
        default=5, ge=1, description="What Retry-After says while the model is being loaded, or too much is under way."
    )
    stuck_seconds: float = Field(
        default=60,
        gt=0,
        description="How long a batch may run before /healthz says 503, so that the service is started again. Not much "
        "shorter: a batch takes a second, but on a machine that is slow, or shared with others, many times that; and a "
        "start loses what waits.",
    )
    drain_seconds: float = Field(
        default=5,
        ge=0,
        description="After SIGTERM: how long requests still come in and hear 503 'stopping', so that a load balancer sees it, "
        "before the port is closed. What waits is answered all the same.",
    )
    log_format: Literal["json", "text"] = Field(default="text", description="Form of the log of signaal-serve api: json or text.")
    tracing: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Traces by OpenTelemetry: on, off, or auto: when OTEL_EXPORTER_OTLP_ENDPOINT is set. "
        "Needs the extra 'tracing'.",
    )
    models: str = Field(
        default="champion",
        pattern=r"^champion(,[A-Za-z][\w-]*)*$",
        description="Aliases of the registered models to have in service, with commas: champion first, then challenger, say.",
    )
    models_poll_seconds: float = Field(
        default=15, gt=0, description="How often to look whether an alias names another model now; that one is then swapped in."
    )
    keep_retired_seconds: float = Field(
        default=600,
        ge=0,
        description="How long a model that lost its alias still answers callers who pin its version. It takes memory.",
    )
    keep_retired_models: int = Field(
        default=1,
        ge=0,
        description="How many such models at most; the one that was retired first is let go before its time.",
    )
    shadow_share: float = Field(
        default=0,
        ge=0,
        le=1,
        description="Share of the champion's requests that the challenger reads too, for comparison alone (GET /v1/models).",
    )
    bulk_batch: int = Field(
        default=128,
        ge=1,
        description="Ads of a file that are scored and then written at once; also what a kill costs at most.",
    )
    bulk_max_line_bytes: int = Field(
        default=16 * 1024 * 1024,
        ge=1024,
        description="Longest line of a file that is read; a longer one is rejected.",
    )
    stream_max_line_bytes: int = Field(
        default=256 * 1024, ge=1024, description="Longest line of a stream; a longer one is answered by a problem."
    )
    stream_in_flight: int = Field(
        default=128, ge=1, description="Lines of one stream that are under way at once; no more is read until one is answered."
    )
    body_idle_seconds: float = Field(
        default=60, gt=0, description="How long the next part of a request's body may keep the server waiting."
    )
    idle_connection_seconds: int = Field(
        default=30,
        ge=1,
        description="How long a connection may stay open without a request: until the head of the first or the next has come; "
        "or with an answer of which the caller takes nothing.",
    )
    feedback_dir: Path = Field(
        default=Path("feedback"), description="Folder that keeps what reviewers found until labelling takes it; one server each."
    )
    feedback_text: Literal["refuse", "accept"] = Field(
        default="refuse",
        description="Whether feedback may bring the text of the ad, which is then stored; ads are not otherwise.",
    )
    feedback_note: Literal["refuse", "accept"] = Field(
        default="refuse", description="Whether feedback may bring a note in free words, which is then stored."
    )

    @field_validator("auth")
    @classmethod
    def _open_on_loopback_only(cls, auth: str | None, info: ValidationInfo) -> str | None:
        host = info.data.get("host")
        if auth == "off" and host is not None and not is_loopback(host):
            said = "{host} can be reached by other machines, so callers need keys; 'off' is for loopback only"
            raise PydanticCustomError("open_to_all", said, {"host": host})
        return auth

    @field_validator("hosts", mode="before")
    @classmethod
    def _hosts(cls, given: object) -> object:
        hosts = _listed(given.lower() if isinstance(given, str) else given)
        for one in hosts if isinstance(hosts, list | tuple) else ():
            if not re.fullmatch(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]", str(one)):
                said = "a host is a name or an address, such as desk.example.org or [fd00::1], without a scheme, a port or *"
                raise PydanticCustomError("not_a_host", said)
        return hosts

    @field_validator("max_bodies_bytes")
    @classmethod
    def _room_for_one(cls, size: int, info: ValidationInfo) -> int:
        if size < (one := info.data.get("max_body_bytes", 0)):
            raise PydanticCustomError("no_room_for_one", "the largest body has {one} bytes and must fit", {"one": one})
        return size

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _origins(cls, given: object) -> object:
        origins = _listed(given)
        for one in origins if isinstance(origins, list | tuple) else ():
            if not re.fullmatch(r"https?://[^/?#\s*]+", str(one)):
                said = "an origin is a scheme and a host, such as https://desk.example.org, without a path or *"
                raise PydanticCustomError("not_an_origin", said)
        return origins

    @property
    def wants_keys(self) -> bool:
        """Whether callers need a key."""
        return self.auth == "keys" or (self.auth is None and not is_loopback(self.host))


def _listed(given: object) -> object:
    """The parts between commas, when it is a text."""
    return [one.strip() for one in given.split(",") if one.strip()] if isinstance(given, str) else given


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load_settings(**overrides: object) -> ServingSettings:
    """Read the settings; ``overrides`` (from the command line) win over the environment, ``None`` means not given.

    Raises:
        SettingsError: a value cannot be used, or there is no folder of secrets; the message names the variable.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return ServingSettings(_secrets_dir=_secrets_dir(), **given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise _bad_value(error, PREFIX, given) from error


def load_model_settings() -> ModelSettings:
    """Read the settings of the models room (``SIGNAAL_*``).

    Raises:
        SettingsError: a value cannot be used; the message names the variable.
    """
    try:
        return ModelSettings(_secrets_dir=_secrets_dir())
    except ValidationError as error:
        raise _bad_value(error, "SIGNAAL_", ()) from error


def _secrets_dir() -> Path | None:
    named = os.environ.get(SECRETS_DIR)
    if not named:
        return None
    if not Path(named).is_dir():
        raise SettingsError(f"{SECRETS_DIR}: there is no folder {named}. Mount it, or unset the variable.")
    return Path(named)


def _bad_value(error: ValidationError, prefix: str, given: Collection[str]) -> SettingsError:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "settings"
    where = f"--{name.replace('_', '-')}" if name in given else prefix + name.upper()
    return SettingsError(f"{where}: {first['msg']}.")
