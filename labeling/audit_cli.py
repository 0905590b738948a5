"""``signaal-label audit``: who saw and did what."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from sqlalchemy import select

from labeling.accounts.registering import by_name
from labeling.data_cli import opened
from labeling.errors import AccountError, NotFoundError
from labeling.store.tables import Ad
from labeling.work.audit_reading import entries

app = typer.Typer()


@app.command()
def audit(
    ad: Annotated[int | None, typer.Option(help="Only of the ad with this number of ours, as the audit has it.")] = None,
    ad_id: Annotated[str | None, typer.Option("--id", help="Only of the ad with this id, as it was imported.")] = None,
    account: Annotated[str | None, typer.Option(help="Only what this account did, or what was done to it.")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help="Only from this moment on, UTC.")
    ] = None,
) -> None:
    """Print the audit, the oldest entry first: when (UTC), who (- for a command of the console), what, the ad's number, details;
    a tab between. It holds no text. Give one of --ad and --id."""
    with opened() as database, database.read() as session:
        if ad_id is not None:
            ad = session.scalar(select(Ad.number).where(Ad.id == ad_id))
            if ad is None:
                raise NotFoundError(f"There is no ad {ad_id}. Of an erased one the audit knows the number only: --ad NUMBER.")
        person = None if account is None else by_name(session, account)
        if account is not None and person is None:
            message = f"There is no account {account}; `signaal-label account list` shows those that there are."
            raise AccountError(message, "unknown")
        moment = None if since is None else since.replace(tzinfo=UTC)
        for entry in entries(session, ad_number=ad, account_id=None if person is None else person.id, since=moment):
            number = "-" if entry.ad_number is None else str(entry.ad_number)
            columns = (f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.who or "-", entry.action, number, entry.detail)
            typer.echo("\t".join(columns).rstrip("\t"))
