"""``signaal-serve feedback``: hand stored feedback to labelling, and erase what is stored of an ad."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from serving.errors import OutboxError
from serving.feedback.erasure import erase as erase_ad
from serving.feedback.export import export as export_records
from serving.settings import load_settings

feedback_app = typer.Typer(no_args_is_help=True, help="The feedback that the server stores (SIGNAAL_SERVE_FEEDBACK_DIR).")
console = Console(stderr=True)


@feedback_app.command()
def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to: a file of NDJSON, a record a line.")],
    after: Annotated[int, typer.Option(min=0, help="Only records after this one; the last export said which it was.")] = 0,
) -> None:
    """Write stored feedback to a file for labelling, each record checked. The server may be running."""
    folder = load_settings().feedback_dir
    try:
        done = export_records(folder, output, after)
    except OSError as error:
        raise OutboxError(f"{error.filename or output}: {error.strerror or error}.") from error
    if not done.count:
        _say(f"{folder} holds nothing after record {after}; {output} is empty.")
        return
    if done.first > after + 1:
        _say(f"Records {after + 1} to {done.first - 1} are no longer there: their segments were removed.")
    _say(f"{done.count} records, {done.first} to {done.last}: {output}. Next time: --after {done.last}")


@feedback_app.command()
def erase(ad_id: Annotated[str, typer.Option(help="The id of the ad, as it was sent.")]) -> None:
    """Erase every finding for an ad, with its text. The server may be running. What was exported must be erased there, too."""
    folder = load_settings().feedback_dir
    try:
        count = erase_ad(folder, ad_id)
    except OSError as error:
        raise OutboxError(
            f"{error.filename or folder}: {error.strerror or error}. What was erased is erased; try again."
        ) from error
    _say(f"{count} records erased in {folder}.")


def _say(message: str) -> None:
    console.print(message, highlight=False, markup=False, soft_wrap=True)
