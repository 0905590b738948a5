"""``signaal-serve``: score ads over HTTP, or whole files; keep callers' keys, and hand on the feedback that came."""

import functools
import logging
import math
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from rich.console import Console

from models.errors import ModelError
from models.registry import open_at, open_scorer, where
from models.settings import ModelSettings
from serving.app import create_app
from serving.bulk.job import Job, format_of, score_file
from serving.bulk.journal import Paths
from serving.bulk.options import (
    SOME_REJECTED,
    Evidence,
    IdColumn,
    Indicators,
    InputFormat,
    LanguageColumn,
    Resume,
    TextColumn,
    format_named,
    labels_named,
    summary,
)
from serving.bulk.parts_cli import score_parts
from serving.connection import Connection
from serving.errors import BulkError, ServingError, SettingsError
from serving.feedback.cli import feedback_app
from serving.fleet import Source
from serving.keys.cli import keys_app
from serving.logs import configure_logs
from serving.records import Columns
from serving.settings import is_loopback, load_model_settings, load_settings
from serving.stopping import StoppingServer
from serving.tracing import open_tracing

app = typer.Typer(no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
app.add_typer(feedback_app, name="feedback")
app.add_typer(keys_app, name="keys")
app.command()(score_parts)
console = Console(stderr=True)

GRACE_SECONDS = 10
"""Beyond the longest wait: then whoever is not answered when the server stops is cut off, an endless stream too."""


@app.command()
def api(
    host: Annotated[str | None, typer.Option(help="Address to listen on (default: 127.0.0.1).", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (default: 8080).", show_default=False)] = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Listen beyond this machine; callers need keys then.")
    ] = False,
) -> None:
    """Start the scoring API, with a page to try it at /.

    The first start fetches the base encoder (95 MB) and builds the graph; later ones take seconds. Which model it serves:
    the MLflow champion when there is one, else the released model (SIGNAAL_BUNDLE).
    """
    settings = load_settings(host=host, port=port)
    if not allow_remote and not is_loopback(settings.host):
        raise SettingsError(
            f"{settings.host} can be reached by other machines. If that is meant, make keys for the callers "
            "(signaal-serve keys create), put a proxy that speaks TLS before it, and add --allow-remote."
        )
    failures: list[Exception] = []

    def end(error: Exception) -> None:
        failures.append(error)
        os.kill(os.getpid(), signal.SIGINT)  # a server without a model is of no use: end it in order

    source, tracing = _source(load_model_settings()), open_tracing(settings)
    application = create_app(source, settings, on_load_failure=end, tracing=tracing)
    if application.state.guard is not None and not application.state.guard.store.all():
        _say("There are no keys yet, so nobody is let in. Make one: signaal-serve keys create NAME --scope score")
    listening = _listen(settings.host, settings.port)
    application.state.outbox.open()  # a folder that cannot be used is told now, not at the first feedback
    host, port = listening.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    _say(f"Signaal listens on {url} (a page to try it is there too); the model is being loaded.")
    config = uvicorn.Config(
        application,
        loop="asyncio",
        http=Connection,  # on h11, which bounds the head of a request; httptools, where it is installed, does not
        log_config=None,
        access_log=False,
        timeout_keep_alive=settings.idle_connection_seconds,
        timeout_graceful_shutdown=math.ceil(settings.max_wait_seconds) + GRACE_SECONDS,
    )
    configure_logs(settings.log_format)
    stop, stopping = application.state.fleet.stop, application.state.stopping
    try:
        StoppingServer(config, stopping, stop, settings.drain_seconds).run(sockets=[listening])
    except KeyboardInterrupt:
        if not failures:
            raise
    if failures and not isinstance(failures[0], ModelError):
        raise typer.Exit(1)  # unforeseen: it is in the log, with the way to it
    if failures:
        raise failures[0]


def _source(settings: ModelSettings) -> Source:
    return Source(where=functools.partial(where, settings), open_at=lambda place: open_at(place, settings))


@app.command()
def prepare() -> None:
    """Fetch and build what the models of a server need, and end; with the same cache that server needs no network and no torch.

    For whoever makes an image or a machine, and after an alias was moved. Which models: SIGNAAL_BUNDLE and SIGNAAL_SERVE_MODELS;
    where to: SIGNAAL_CACHE_DIR. To build a graph takes a minute or two and 5 GB of memory.
    """
    settings = load_model_settings()
    for alias in load_settings().models.split(","):
        place = where(settings, alias)
        if place is None:
            _say(f"No model is called {alias}.")
            continue
        identity = open_at(place, settings).identity
        _say(f"{identity.name} {identity.version} ({alias}) is prepared in {settings.cache_dir}.")


def _listen(host: str, port: int) -> socket.socket:
    """Take the address before anything slow is done, so that one in use is told at once."""
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)
        # Accepted sockets inherit it. asyncio sets it only on sockets that name their protocol, and without it head and body of
        # an answer wait for one another: 40 ms, more than the scoring of an ad.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise SettingsError(
            f"Cannot listen on {host}:{port} ({error.strerror}). Choose another with --host or --port."
        ) from error


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="NDJSON, CSV or Parquet file with one ad a line (row).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to: .ndjson (everything), .csv or .parquet (flat).")],
    text_column: TextColumn = "text",
    id_column: IdColumn = None,
    language_column: LanguageColumn = None,
    input_format: InputFormat = None,
    indicators: Indicators = None,
    evidence: Evidence = True,
    resume: Resume = False,
) -> None:
    """Score a whole file as a stream; memory stays constant. Exit code 3 when some lines could not be scored.

    Lines that cannot be scored are kept aside, with their number and the reason, in OUTPUT.rejected.ndjson.
    """
    job = Job(
        source=file,
        out=output,
        source_format=format_named(input_format, "--format") if input_format else format_of(file),
        columns=Columns(text_column, id_column, language_column),
        labels=labels_named(indicators),
        evidence=evidence,
        resume=resume,
    )
    open_model = functools.partial(open_scorer, load_model_settings())
    try:
        state = score_file(job, open_model, load_settings(), console)
    except KeyboardInterrupt:
        _say("Stopped. What is scored is kept; continue with the same command and --resume.")
        raise typer.Exit(130) from None
    except OSError as error:
        place = error.filename or output
        raise BulkError(f"{place}: {error.strerror or error}. What is scored is kept; continue with --resume.") from error
    if state is None:
        _say(f"{output} is already complete; there is nothing to do.")
        return
    console.print(summary(state.key.labels, state.present, state.uncertain))
    _say(f"{state.scored} scored in {state.seconds:.0f} s, {state.rejected} rejected; results: {output}")
    if state.rejected:
        _say(f"rejected lines: {Paths(output).rejected}")
        raise typer.Exit(SOME_REJECTED)


def _say(message: str) -> None:
    """One line, whatever the width; names of files are not markup."""
    console.print(message, highlight=False, markup=False, soft_wrap=True)


def main() -> None:
    """Console script: known errors become one line and exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    for chatty in ("alembic", "mlflow", "httpx", "onnxscript", "onnx_ir"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        app()
    except (ModelError, ServingError) as error:
        _say(f"error: {error}")
        raise SystemExit(2) from error
