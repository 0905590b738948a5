"""``signaal-label label-studio …``: files to and from Label Studio, and suggestions inside it."""

import json
from pathlib import Path
from typing import Annotated, TypeVar

import typer
import uvicorn
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.progress import track

from labeling.annotation import Annotation
from labeling.errors import ExchangeError
from labeling.label_studio import ExchangedAd, Prediction, config_xml, from_tasks, to_tasks
from labeling.ml_backend import create_app, model_name
from models.registry import open_scorer
from models.settings import ModelSettings
from models.taxonomy import packaged_taxonomy

app = typer.Typer(no_args_is_help=True, help="Exchange with Label Studio.")
console = Console()
errors = Console(stderr=True)
BATCH = 64

Row = TypeVar("Row", bound=BaseModel)
Annotations = Annotated[Path | None, typer.Option(help="Annotations to send along, as JSON Lines (as from-tasks writes them).")]


@app.command()
def config(output: Annotated[Path | None, typer.Argument(help="File to write; printed when left out.")] = None) -> None:
    """The labelling interface of the taxonomy, to paste into a project's settings (Labeling Interface, Code)."""
    interface = config_xml(packaged_taxonomy())
    if output is None:
        typer.echo(interface)
    else:
        _write(output, interface + "\n")


@app.command("to-tasks")
def to_tasks_command(
    ads: Annotated[Path, typer.Argument(help="Ads as JSON Lines: id, text, language.")],
    output: Annotated[Path, typer.Argument(help="Tasks to import in Label Studio (JSON). Holds the texts.")],
    annotations: Annotations = None,
    suggest: Annotated[bool, typer.Option(help="Score the ads and send the suggestions along.")] = False,
) -> None:
    """Make tasks of ads. Texts go as they are: mask contact details first (importing into Signaal does)."""
    exchanged = _read(ads, ExchangedAd)
    said = _read(annotations, Annotation) if annotations else []
    if strangers := {a.ad_id for a in said} - {ad.id for ad in exchanged}:
        raise ExchangeError(f"{annotations} has annotations of {len(strangers)} ads that {ads} lacks, {min(strangers)} for one.")
    tasks = to_tasks(exchanged, said, _suggestions(exchanged) if suggest else None, taxonomy=packaged_taxonomy())
    _write(output, json.dumps(tasks, ensure_ascii=False))
    console.print(f"{len(tasks)} tasks in {output}")


@app.command("from-tasks")
def from_tasks_command(
    exported: Annotated[Path, typer.Argument(help='What Label Studio exported as "JSON".')],
    ads: Annotated[Path, typer.Argument(help="Ads to write (JSON Lines).")],
    annotations: Annotated[Path, typer.Argument(help="Annotations to write (JSON Lines).")],
) -> None:
    """Read an export of Label Studio. Exit code 1 when something had to be left out; the rest is written."""
    try:
        tasks = json.loads(exported.read_text(encoding="utf-8"))
    except OSError as error:
        raise ExchangeError(f"Cannot read {exported}: {error.strerror}.") from error
    except ValueError as error:
        raise ExchangeError(f"{exported} is not JSON in UTF-8.") from error
    found_ads, found_annotations, problems = from_tasks(tasks, packaged_taxonomy())
    _write(ads, "".join(ad.model_dump_json() + "\n" for ad in found_ads))
    _write(annotations, "".join(a.model_dump_json(exclude_none=True) + "\n" for a in found_annotations))
    console.print(f"{len(found_ads)} ads in {ads}, {len(found_annotations)} annotations in {annotations}")
    for problem in problems:
        errors.print(problem, highlight=False, markup=False)
    if problems:
        raise typer.Exit(1)


@app.command("ml-backend")
def ml_backend(
    host: Annotated[
        str, typer.Option(help="Address to listen on. It asks for no password: leave it where it is, or behind a proxy.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 9090,
) -> None:
    """Serve suggestions as a Label Studio ML backend, with the model that SIGNAAL_BUNDLE names."""
    scorer = open_scorer(ModelSettings())
    console.print(f"{model_name(scorer)} on http://{host}:{port}; connect it under Settings, Model in Label Studio")
    uvicorn.run(create_app(scorer), host=host, port=port, access_log=False, log_level="warning")


def _suggestions(ads: list[ExchangedAd]) -> dict[str, Prediction]:
    scorer = open_scorer(ModelSettings())
    found: dict[str, Prediction] = {}
    for first in track(range(0, len(ads), BATCH), "Scoring", console=errors):
        batch = ads[first : first + BATCH]
        for ad, score in zip(batch, scorer.score([ad.text for ad in batch]), strict=True):
            found[ad.id] = Prediction(score=score, model=model_name(scorer))
    return found


def _read(path: Path, row: type[Row]) -> list[Row]:
    rows = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    rows.append(_row(line, row, f"{path}:{number}"))
    except OSError as error:
        raise ExchangeError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ExchangeError(f"{path} is not UTF-8.") from error
    return rows


def _row(line: str, row: type[Row], where: str) -> Row:
    try:
        return row.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise ExchangeError(f"{where}: {field + ': ' if field else ''}{first['msg']}") from None


def _write(path: Path, content: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as out:
            out.write(content)
    except FileExistsError as error:
        raise ExchangeError(f"{path} is there already; delete it or choose another name.") from error
    except OSError as error:
        raise ExchangeError(f"Cannot write {path}: {error.strerror}.") from error
