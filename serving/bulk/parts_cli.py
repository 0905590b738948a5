"""``signaal-serve score-parts``: many files, on all cores of this machine or on a Ray cluster."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

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
from serving.bulk.parts import find_parts
from serving.bulk.parts_job import PartsJob, Totals
from serving.errors import BulkError
from serving.records import Columns
from serving.settings import load_model_settings, load_settings

MOST_SHOWN = 20
console = Console(stderr=True)


def score_parts(
    source: Annotated[str, typer.Argument(help="A folder of NDJSON, CSV or Parquet files, or a pattern ('ads/*.parquet').")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to: for each file one, of the same name.")],
    to: Annotated[str, typer.Option(help="ndjson (everything), csv or parquet (flat).")] = "ndjson",
    address: Annotated[
        str | None,
        typer.Option(
            envvar="RAY_ADDRESS",
            help="Ray cluster, HOST:PORT, or 'auto' on one of its machines (default: Ray on this machine, for this job).",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Scorers at once, each with SIGNAAL_THREADS cores (1 when not set) (default: as many as there are cores for).",
            show_default=False,
        ),
    ] = None,
    text_column: TextColumn = "text",
    id_column: IdColumn = None,
    language_column: LanguageColumn = None,
    input_format: InputFormat = None,
    indicators: Indicators = None,
    evidence: Evidence = True,
    resume: Resume = False,
) -> None:
    """Score many files at once, on this machine or a Ray cluster (from a checkout, pip install '.[ray]'). Exit codes as of
    'score'.

    A file is done by one worker; a stopped job goes on where each file was. All machines must see both folders under one path.
    """
    from serving.bulk import ray_engine

    source_format = format_named(input_format, "--format") if input_format else None
    out_format = format_named(to, "--to")
    found = find_parts(source, output, out_format, source_format)
    if found.passed_over:
        names = ", ".join(str(file) for file in found.passed_over[:5])
        _say(f"{len(found.passed_over)} files are passed over, because their names say no format (--format): {names}")
    job = PartsJob(
        parts=found.parts,
        out=output.absolute(),
        source_format=source_format,
        out_format=out_format,
        columns=Columns(text_column, id_column, language_column),
        labels=labels_named(indicators),
        evidence=evidence,
        resume=resume,
    )
    try:
        totals = ray_engine.score_parts(
            job, load_model_settings(), load_settings(), console, address=address or None, workers=workers
        )
    except KeyboardInterrupt:
        _say("Stopped. What is scored is kept; continue with the same command and --resume.")
        raise typer.Exit(130) from None
    except OSError as error:
        place = error.filename or output
        raise BulkError(f"{place}: {error.strerror or error}. What is scored is kept; continue with --resume.") from error
    _report(job, totals)


def _report(job: PartsJob, totals: Totals) -> None:
    if totals.parts:
        console.print(summary(totals.labels, totals.present, totals.uncertain))
    before = f" {totals.before} were done before." if totals.before else ""
    _say(
        f"{totals.parts} parts done in {totals.seconds:.0f} s: {totals.scored} scored, {totals.rejected} rejected.{before} "
        f"Results: {job.out}"
    )
    rejected = [path for part in job.parts if (path := Paths(part.out).rejected).exists()]
    _list("rejected lines", [str(path) for path in rejected])
    if totals.failed:
        _list("failed", [f"{name}: {reason}" for name, reason in sorted(totals.failed.items())])
        raise BulkError(f"{len(totals.failed)} of {len(job.parts)} parts are not done; continue with --resume.")
    if rejected:
        raise typer.Exit(SOME_REJECTED)


def _list(title: str, lines: list[str]) -> None:
    for line in lines[:MOST_SHOWN]:
        _say(f"{title}: {line}")
    if len(lines) > MOST_SHOWN:
        _say(f"{title}: {len(lines) - MOST_SHOWN} more")


def _say(message: str) -> None:
    console.print(message, highlight=False, markup=False, soft_wrap=True)
