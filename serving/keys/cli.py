"""``signaal-serve keys``: make, list, revoke and rotate keys."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from serving.errors import SettingsError
from serving.keys.store import Key, KeyStore, Scope
from serving.settings import load_settings

keys_app = typer.Typer(no_args_is_help=True, help="The keys that callers of the API need.")
console, words = Console(), Console(stderr=True)

MOST_GRACE_HOURS = 720
"""An old secret is one too many: whoever needs longer makes another key."""

KeyId = Annotated[str, typer.Argument(help="The id of the key: the part between the two underscores.")]


@keys_app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, or what for; for your own list.")],
    scope: Annotated[
        list[Scope],
        typer.Option(
            help="What it may be used for; give it again for another. score: scores, and facts about the models. "
            "feedback: to send what reviewers found. metrics: /metrics alone, for Prometheus. "
            "admin: /metrics, and what has no scope of its own."
        ),
    ],
    expires: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The first day on which it is good no more (UTC).")
    ] = None,
    ads_per_minute: Annotated[
        int | None, typer.Option(min=1, help="Most ads and items of feedback a minute (default: no limit).")
    ] = None,
    ads_per_day: Annotated[
        int | None, typer.Option(min=1, help="Most ads and items of feedback a day (UTC) (default: no limit).")
    ] = None,
) -> None:
    """Make a key. It is printed once, on standard output, and kept nowhere."""
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise SettingsError("The name of a key has 1 to 100 printable characters.")
    until = expires.replace(tzinfo=UTC) if expires else None
    if until is not None and until <= datetime.now(UTC):
        raise SettingsError("--expires: that day has begun; the key would never be good.")
    key, token = _store().create(name, set(scope), expires=until, ads_per_minute=ads_per_minute, ads_per_day=ads_per_day)
    _show_once(key, token)


@keys_app.command(name="list")
def list_keys() -> None:
    """Every key, without its secret."""
    store, now = _store(), datetime.now(UTC)
    table = Table("id", "name", "scopes", "state", "created", "last used", "expires", "ads/minute", "ads/day")
    for key in store.all():
        day = "" if key.ads_per_day is None else f"{store.used(key.id, now.date())} of {key.ads_per_day}"
        table.add_row(
            key.id,
            escape(key.name),
            " ".join(sorted(key.scopes)),
            _state(key, now),
            f"{key.created:%Y-%m-%d}",
            f"{key.last_used or 'never'}",
            f"{key.expires:%Y-%m-%d}" if key.expires else "never",
            str(key.ads_per_minute or ""),
            day,
        )
    console.print(table)


@keys_app.command()
def revoke(key_id: KeyId) -> None:
    """End a key for good. Running servers notice within seconds."""
    key = _store().revoke(key_id)
    _say(f"The key {key.id} ({key.name}) is revoked.")


@keys_app.command()
def rotate(
    key_id: KeyId,
    grace_hours: Annotated[float, typer.Option(help=f"How long the old secret stays good; {MOST_GRACE_HOURS} at most.")] = 24,
) -> None:
    """Give a key a new secret; the old one stays good for a while. It is printed once, on standard output."""
    if not 0 <= grace_hours <= MOST_GRACE_HOURS:
        raise SettingsError(f"--grace-hours: the old secret may stay good for 0 to {MOST_GRACE_HOURS} hours (30 days).")
    key, token = _store().rotate(key_id, timedelta(hours=grace_hours))
    _show_once(key, token)
    _say(f"The old secret is good until {key.previous_until:%Y-%m-%d %H:%M} UTC.")


def _store() -> KeyStore:
    return KeyStore(load_settings().database_url.get_secret_value())


def _state(key: Key, now: datetime) -> str:
    state = key.state(now)
    if state == "active" and key.previous_until is not None and now < key.previous_until:
        return f"active, old secret until {key.previous_until:%Y-%m-%d %H:%M}"
    return state


def _show_once(key: Key, token: str) -> None:
    _say(f"This is the key of {key.name}. It is shown only now; put it where secrets are kept.")
    typer.echo(token)


def _say(message: str) -> None:
    words.print(message, highlight=False, markup=False, soft_wrap=True)
