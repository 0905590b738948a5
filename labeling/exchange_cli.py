"""``signaal-label label-studio …``: ads and opinions, of the database or of files, to and from Label Studio."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvicorn
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.progress import track

from labeling.annotation import Annotation
from labeling.data_cli import Group, group_new, opened, progress_bar
from labeling.errors import ExchangeError
from labeling.intake.opinions import import_opinions
from labeling.label_studio import ExchangedAd, Prediction, config_xml, from_tasks, to_tasks
from labeling.ml_backend import create_app, model_name
from labeling.work import audit
from labeling.work.opinions_out import room_out
from models.example import LabelledExample
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
    ads: Annotated[Path, typer.Argument(help="Ads as JSON Lines: id, text, language; or labelled examples.")],
    output: Annotated[Path, typer.Argument(help="Tasks to import in Label Studio (JSON). Holds the texts.")],
    annotations: Annotations = None,
    suggest: Annotated[bool, typer.Option(help="Score the ads and send the suggestions along.")] = False,
) -> None:
    """Make tasks of the ads in a file. Texts go as they are: mask contact details first (importing into Signaal does). The
    labels of labelled examples go along as ground truth."""
    exchanged = _read(ads, ExchangedAd)
    finals = _finals(ads)
    said = _read(annotations, Annotation) if annotations else []
    if strangers := {a.ad_id for a in said} - {ad.id for ad in exchanged}:
        raise ExchangeError(f"{annotations} has annotations of {len(strangers)} ads that {ads} lacks, {min(strangers)} for one.")
    suggested = _suggestions(exchanged) if suggest else None
    tasks = to_tasks(exchanged, said, suggested, finals=finals, taxonomy=packaged_taxonomy())
    _write(output, json.dumps(tasks, ensure_ascii=False))
    console.print(f"{len(tasks)} tasks in {output}")


@app.command("from-tasks")
def from_tasks_command(
    exported: Annotated[Path, typer.Argument(help='What Label Studio exported as "JSON".')],
    ads: Annotated[Path, typer.Argument(help="Ads to write (JSON Lines).")],
    annotations: Annotated[Path, typer.Argument(help="Annotations to write (JSON Lines).")],
) -> None:
    """Turn an export of Label Studio into files; nothing goes into the database (`label-studio import` does that). Exit code 1
    when something had to be left out; the rest is written."""
    found_ads, found_annotations, problems = from_tasks(_read_tasks(exported), packaged_taxonomy())
    _write(ads, "".join(ad.model_dump_json() + "\n" for ad in found_ads))
    _write(annotations, "".join(a.model_dump_json(exclude_none=True) + "\n" for a in found_annotations))
    console.print(f"{len(found_ads)} ads in {ads}, {len(found_annotations)} annotations in {annotations}")
    _tell(problems)


@app.command("import")
def import_command(
    exported: Annotated[Path, typer.Argument(help='What Label Studio exported as "JSON".')],
    group: Group = True,
) -> None:
    """Take ads and opinions out of an export of Label Studio into the database: contact details masked, opinions as finished
    work of closed accounts label-studio-N, which count as any other. The same file again changes nothing. Exit code 1 when
    something had to be left out; the rest is in."""
    ads, annotations, problems = from_tasks(_read_tasks(exported), packaged_taxonomy())
    with opened() as database:
        with progress_bar(f"reading {exported.name}", len(ads)) as done:
            report = import_opinions(database, ads, annotations, exported.name, datetime.now(UTC), done)
        console.print(
            f"{exported}: {report.ads.imported} new ads, {report.ads.known} known; "
            f"{report.new} new opinions, {report.changed} changed, {report.known} known",
            soft_wrap=True,
        )
        if group:
            group_new(database)
    _tell([*problems, *report.problems])


@app.command("export")
def export_command(
    output: Annotated[Path, typer.Argument(help="Tasks to import in Label Studio (JSON). Holds the texts, masked.")],
    opinions: Annotated[bool, typer.Option(help="Send along what reviewers said and adjudicators decided.")] = True,
    suggest: Annotated[bool, typer.Option(help="Score the ads and send the suggestions along.")] = False,
) -> None:
    """Write the database's ads, but for gold items, as tasks, with the opinions of those who are done and, as ground truth,
    what adjudicators decided. Whoever reads them there sees all opinions; --no-opinions is for labelling blind."""
    with opened() as database:
        with database.read() as session:
            out = room_out(session)
        if not out.ads:
            raise ExchangeError("There is no ad to export yet; `signaal-label import` brings some.")
        said, finals = (out.opinions, out.decisions) if opinions else ([], {})
        suggested = _suggestions(out.ads) if suggest else None
        tasks = to_tasks(out.ads, said, suggested, finals=finals, taxonomy=packaged_taxonomy())
        _write(output, json.dumps(tasks, ensure_ascii=False))
        with database.write() as session:
            detail = f"{len(tasks)} ads, {len(said)} opinions, as tasks of Label Studio"
            audit.record(session, datetime.now(UTC), None, audit.Action.EXPORTED, detail=detail)
    console.print(f"{len(tasks)} tasks in {output}, with {len(said)} opinions and {len(finals)} decisions", soft_wrap=True)


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


def _read_tasks(exported: Path) -> Any:
    try:
        return json.loads(exported.read_text(encoding="utf-8"))
    except OSError as error:
        raise ExchangeError(f"Cannot read {exported}: {error.strerror}.") from error
    except ValueError as error:
        raise ExchangeError(f"{exported} is not JSON in UTF-8.") from error


def _tell(problems: list[str]) -> None:
    for problem in problems:
        errors.print(problem, highlight=False, markup=False, soft_wrap=True)
    if problems:
        raise typer.Exit(1)


def _finals(path: Path) -> dict[str, Annotation]:
    """The labels of those rows that are labelled examples."""
    taxonomy = packaged_taxonomy()
    finals: dict[str, Annotation] = {}
    for where, line in _lines(path):
        if not isinstance(json.loads(line).get("labels"), list):
            continue
        example = _row(line, LabelledExample, where)
        if unknown := [label for label in example.labels if label not in taxonomy.label_ids]:
            raise ExchangeError(f"{where}: taxonomy {taxonomy.version} lacks {', '.join(unknown)}.")
        finals[example.id] = Annotation(
            ad_id=example.id,
            annotator="final",
            labels={label: label in example.labels for label in taxonomy.label_ids},
            document_type=example.document_type,
            spans=tuple(example.spans),
        )
    return finals


def _read(path: Path, row: type[Row]) -> list[Row]:
    return [_row(line, row, where) for where, line in _lines(path)]


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """What is not blank, with where it is."""
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"{path}:{number}", line
    except OSError as error:
        raise ExchangeError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ExchangeError(f"{path} is not UTF-8.") from error


def _row(line: str, row: type[Row], where: str) -> Row:
    try:
        return row.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise ExchangeError(f"{where}: {field + ': ' if field else ''}{first['msg']}") from None


def _write(path: Path, content: str) -> None:
    try:
        with open(path, "x", encoding="utf-8", opener=_for_its_owner) as out:
            out.write(content)
    except FileExistsError as error:
        raise ExchangeError(f"{path} is there already; delete it or choose another name.") from error
    except OSError as error:
        raise ExchangeError(f"Cannot write {path}: {error.strerror}.") from error


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
