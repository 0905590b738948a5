"""``signaal-label first-steps`` and ``web``: what is needed for a first look, and the pages themselves."""

import logging
import os
import secrets
import socket
import sys
from itertools import groupby, islice
from typing import Annotated

import typer
import uvicorn
from rich.console import Console
from sqlalchemy import func, select

from labeling.accounts.registering import make_account
from labeling.accounts.roles import Role
from labeling.corpus_files import corpus_paths, read_corpus
from labeling.errors import LabelingError
from labeling.intake.importing import import_ads
from labeling.settings import settings_from_environment
from labeling.store.database import Database
from labeling.store.tables import Account, Ad
from labeling.web.access import utc_now
from labeling.web.app import create_app

app = typer.Typer()
console = Console(highlight=False)
SAMPLE_A_LANGUAGE = 6
PASSWORD = "SIGNAAL_LABEL_ADMIN_PASSWORD"  # noqa: S105 – the name of a variable
GRACE_SECONDS = 10


@app.command()
def first_steps(
    admin: Annotated[str, typer.Option(help="Name of the first admin.")] = "admin",
    sample: Annotated[bool, typer.Option(help="Import some texts of the authored corpus when there are no ads.")] = True,
) -> None:
    """Make what a first look needs, where it is missing: the database, an admin, some ads. Changes nothing that is there.

    The admin's password is asked for at a terminal; elsewhere it is SIGNAAL_LABEL_ADMIN_PASSWORD, or made up and printed.
    """
    database = Database(settings_from_environment().database_url)
    try:
        with database.read() as session:
            accounts = session.scalar(select(func.count()).select_from(Account)) or 0
            ads = session.scalar(select(func.count()).select_from(Ad)) or 0
        if not accounts:
            password, told = _password(admin)
            with database.write() as session:
                make_account(session, admin, password, Role.ADMIN, utc_now())
            console.print(f"The admin is {admin}{told}. More accounts: on the page Accounts.", markup=False, soft_wrap=True)
        if sample and not ads:
            _import_sample(database)
    finally:
        database.close()


@app.command()
def web(
    host: Annotated[str, typer.Option(help="Address to listen on.", envvar="SIGNAAL_LABEL_HOST")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0: any free one.", envvar="SIGNAAL_LABEL_PORT")] = 8090,
) -> None:
    """Start the pages for reviewers, adjudicators and admins.

    Beyond this machine signing in needs HTTPS: put a proxy before it that speaks it, and let the proxy send
    X-Forwarded-Proto (FORWARDED_ALLOW_IPS says from which address that is believed).
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = settings_from_environment()
    database = Database(settings.database_url)
    try:
        with database.read() as session:
            if not session.scalar(select(func.count()).select_from(Account)):
                raise LabelingError("There is no account to sign in with yet. Make one: signaal-label first-steps")
        listening = _listen(host, port)
        shown_host, shown_port = listening.getsockname()[:2]
        shown = f"[{shown_host}]" if ":" in shown_host else shown_host
        console.print(f"The labelling pages are at http://{shown}:{shown_port}", markup=False, soft_wrap=True)
        config = uvicorn.Config(
            create_app(database, settings),
            loop="asyncio",
            http="h11",  # which bounds the head of a request; httptools, where it is installed, does not
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        database.close()


def _password(admin: str) -> tuple[str, str]:
    """The first admin's password, and what is said of it."""
    if sys.stdin.isatty():
        return typer.prompt(f"Password for {admin} (12 characters or more)", hide_input=True, confirmation_prompt=True), ""
    if given := os.environ.get(PASSWORD):
        return given, f", with the password of {PASSWORD}"
    made = secrets.token_urlsafe(15)
    return made, f", with the password {made} (it is shown this once)"


def _import_sample(database: Database) -> None:
    corpus = sorted(read_corpus(corpus_paths()), key=lambda item: item.example.lang)
    by_language = groupby(corpus, key=lambda item: item.example.lang)
    some = [item for _, items in by_language for item in islice(items, SAMPLE_A_LANGUAGE)]
    rows = ((n, {"id": one.example.id, "text": one.example.text, "language": one.example.lang}) for n, one in enumerate(some, 1))
    report = import_ads(database, rows, "sample of the corpus", utc_now())
    console.print(f"{report.imported} invented ads are there to look at.")


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, so that a taken port is told before anything starts."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=512)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each save waits 40 ms; see serving's own
        return listening
    except OSError as error:
        raise LabelingError(f"Cannot listen on {host} port {port}: {error.strerror}. Choose another with --port.") from error
