"""``signaal-label account``: the first admin, and what an admin cannot do on a page."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from sqlalchemy.orm import Session

from labeling.accounts.registering import all_accounts, by_name, change_password, change_role, make_account, set_active
from labeling.accounts.roles import Role
from labeling.data_cli import opened
from labeling.errors import AccountError
from labeling.store.tables import Account

app = typer.Typer(no_args_is_help=True, help="People who sign in.")
console = Console()

Name = Annotated[str, typer.Argument(help="What the person types to sign in; a pseudonym will do.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


@app.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What the person may do.")] = Role.ANNOTATOR,
    password_stdin: FromStdin = False,
) -> None:
    """Make an account. The first one should be an admin; it makes others on the page."""
    password = _password(password_stdin)
    with opened() as database, database.write() as session:
        make_account(session, name, password, role, datetime.now(UTC))
    console.print(f"{name} is {role}")


@app.command(name="list")
def list_accounts() -> None:
    """All accounts."""
    table = Table("name", "role", "open", "since", "locked until", box=SIMPLE)
    with opened() as database, database.read() as session:
        for account in all_accounts(session):
            locked = account.locked_until.strftime("%Y-%m-%d %H:%M UTC") if account.locked_until else ""
            table.add_row(account.name, account.role, "yes" if account.active else "no", f"{account.created_at:%Y-%m-%d}", locked)
    console.print(table)


@app.command()
def password(name: Name, password_stdin: FromStdin = False) -> None:
    """Set a password; ends the account's sessions and its lock."""
    new = _password(password_stdin)
    with _changing(name) as (session, account):
        change_password(session, account, new, datetime.now(UTC), None)


@app.command()
def role(name: Name, role: Annotated[Role, typer.Argument(help="What the person may do from now on.")]) -> None:
    """Set a role."""
    with _changing(name) as (session, account):
        change_role(session, account, role, datetime.now(UTC), None)


@app.command()
def close(name: Name) -> None:
    """Close an account: nobody signs in with it. What the person did stays."""
    with _changing(name) as (session, account):
        set_active(session, account, False, datetime.now(UTC), None)


@app.command(name="open")
def open_again(name: Name) -> None:
    """Open a closed account again."""
    with _changing(name) as (session, account):
        set_active(session, account, True, datetime.now(UTC), None)


@contextmanager
def _changing(name: str) -> Iterator[tuple[Session, Account]]:
    with opened() as database, database.write() as session:
        account = by_name(session, name)
        if account is None:
            message = f"There is no account {name}; `signaal-label account list` shows those that there are."
            raise AccountError(message, "unknown")
        yield session, account


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
