"""``signaal-label``'s commands for ads and their data: what comes in, what is known of it, what is kept and what goes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from labeling.errors import IncompleteImportError
from labeling.intake.feedback import import_feedback
from labeling.intake.importing import import_ads
from labeling.intake.readers import read_rows
from labeling.intake.rows import Problem
from labeling.settings import settings_from_environment
from labeling.store import backup as backups
from labeling.store.database import Database
from labeling.work import audit, retention
from labeling.work.export_places import exports_with
from models.base import sha256_of

app = typer.Typer()
console = Console()
errors = Console(stderr=True)

_MOST_SHOWN = 50
Group = Annotated[
    bool, typer.Option("--group/--no-group", help="Look for near-duplicates of what came in; else `signaal-label group` later.")
]


@app.command(name="import")
def import_file(
    files: Annotated[list[Path], typer.Argument(help="Ads: *.jsonl, *.csv or *.parquet; id and text, perhaps language.")],
    gold: Annotated[bool, typer.Option(help="Gold items: rows have labels, perhaps spans and document_type.")] = False,
    group: Group = True,
) -> None:
    """Take ads in. Contact details are masked; a bad row is named by its line, and the rest is taken; an ad that is there
    already stays as it is. Exit code 1 when rows were refused."""
    refused = 0
    with opened() as database:
        for file in files:
            with progress_bar(f"reading {file.name}", None) as done:
                report = import_ads(database, read_rows(file), file.name, datetime.now(UTC), gold=gold, done=done)
            console.print(f"{file}: {report.imported} imported, {report.known} known, {len(report.problems)} refused")
            _show(file, report.problems)
            refused += len(report.problems)
        if group:
            group_new(database)
    if refused:
        raise IncompleteImportError(refused)


@app.command(name="import-feedback")
def import_feedback_file(
    files: Annotated[list[Path], typer.Argument(help="Exports of the scoring API's outbox (signaal-serve feedback export).")],
    group: Group = True,
) -> None:
    """Take in what users of the scoring API said; items with a text become ads. What was erased there is erased here. Exit
    code 1 when records were refused."""
    refused = 0
    with opened() as database:
        for file in files:
            report = import_feedback(database, file, datetime.now(UTC))
            console.print(
                f"{file}: {report.new} new, {report.known} known, {report.erased} erased, {len(report.problems)} refused; "
                f"{report.ads.imported} new ads, {len(report.erased_ads)} ads erased"
            )
            _show(file, report.problems)
            refused += len(report.problems)
            _name_exports(database, report.erased_ads)
        if group:
            group_new(database)
        database.empty_log()
    if refused:
        raise IncompleteImportError(refused)


@app.command()
def group() -> None:
    """Find near-duplicates among ads that came since the last time: after imports with --no-group, or one that was stopped.
    A reviewer reads one ad of a group."""
    with opened() as database:
        group_new(database)


@app.command()
def score() -> None:
    """Let the model (SIGNAAL_BUNDLE; the champion by default) read ads that it has not read. It may be stopped, and goes on
    where it was."""
    from labeling.work.suggestions import score_waiting, waiting_count
    from models.registry import open_scorer
    from models.settings import ModelSettings

    with opened() as database:
        scorer = open_scorer(ModelSettings())
        with database.read() as session:
            count = waiting_count(session, scorer.identity.bundle_digest)
        with progress_bar("scoring", count) as done:
            scored = score_waiting(database, scorer, done)
        console.print(f"{scored} ads scored by {scorer.identity}")


@app.command()
def queue(
    seed: Annotated[int | None, typer.Option(help="For the same order again.")] = None,
    first: Annotated[
        Path | None,
        typer.Option(help="doubts.jsonl of `signaal-train noise`: these ads come first; settled ones get one reader more."),
    ] = None,
) -> None:
    """Order the ads that want readers by what is known now, in the shares of the project's settings."""
    import random

    from labeling.work.doubts import Doubted, open_doubted, read_doubts
    from labeling.work.queueing import make_queue

    rng = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311 -- a repeatable order is no secret
    ad_ids = [] if first is None else read_doubts(first)
    with opened() as database:
        doubted = Doubted([])
        if ad_ids:
            with database.write() as session:
                doubted = open_doubted(session, ad_ids, datetime.now(UTC))
            console.print(
                f"{len(doubted.first)} doubted ads come first, {doubted.again} of them settled ones that are read once more; "
                f"{doubted.disputed} go to an adjudicator; left as they are: "
                f"{doubted.decided} that are an adjudicator's already, {doubted.enough} that were read once more already, "
                f"{doubted.unknown} that are not here",
                soft_wrap=True,
            )
        console.print(f"{make_queue(database, rng, datetime.now(UTC), doubted.first)} ads in the queue")


@app.command(name="export")
def export_labels(
    folder: Annotated[Path, typer.Argument(help="Each export is a folder of its own in here, named by its digest.")] = Path(
        "data/exports"
    ),
) -> None:
    """Write the final labels as labelled examples for `signaal-train run`: what all reviewers agree on, and what was decided.
    The same labels give the same export."""
    from labeling.export import EXAMPLES, export_folder
    from labeling.work.finals import export_finals

    with opened() as database:
        made = export_finals(database, folder, None, datetime.now(UTC))
    for reason, count in made.left_out.items():
        console.print(f"left out: {count} ads {reason}")
    console.print(
        f"{made.manifest.examples} examples in {export_folder(folder, made.manifest.digest) / EXAMPLES}", soft_wrap=True
    )


@app.command()
def purge() -> None:
    """Erase ads that were imported longer ago than the project's retention period, and all that was said of them."""
    with opened() as database:
        purged = retention.purge(database, None, datetime.now(UTC))
        database.empty_log()
        console.print(f"{len(purged)} ads erased")
        _name_exports(database, purged)


@app.command()
def erase(
    ad_id: Annotated[str, typer.Argument(help="The ad's id, as it was imported.")],
) -> None:
    """Erase one ad and all that was said of it. Exports that hold it are named, for you to delete; backups and other copies
    that were made before are not reached."""
    with opened() as database:
        with database.write() as session:
            there = retention.erase_ad(session, ad_id, None, datetime.now(UTC))
        database.empty_log()
        console.print("erased" if there else "There is no such ad, and nothing was said of it.")
        _name_exports(database, [ad_id])
    if not there:
        raise typer.Exit(1)


@app.command()
def backup(copy: Annotated[Path, typer.Argument(help="File to write.")]) -> None:
    """Write a copy of a SQLite database while people work."""
    size = backups.back_up(settings_from_environment().database_url, copy)
    console.print(f"{copy}: {size / 1_000_000:.1f} MB")
    with opened() as database, database.write() as session:
        detail = f"{size} bytes, SHA-256 {sha256_of(copy)[:16]}"
        audit.record(session, datetime.now(UTC), None, audit.Action.BACKED_UP, detail=detail)


@app.command()
def restore(
    copy: Annotated[Path, typer.Argument(help="File that `signaal-label backup` wrote.")],
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite the database that is there.")] = False,
) -> None:
    """Put a copy of a SQLite database back. With --replace all that came after the copy is gone, the audit of it too; what is
    put back has an entry that says so."""
    address = settings_from_environment().database_url
    lost = backups.last_audited(address)
    backups.restore(address, copy, replace=replace)
    with opened() as database, database.write() as session:
        replaced = f"in place of one whose audit went to entry {lost[0]} of {lost[1]} UTC" if lost else "where there was none"
        detail = f"copy of SHA-256 {sha256_of(copy)[:16]}, {replaced}"
        audit.record(session, datetime.now(UTC), None, audit.Action.RESTORED, detail=detail)
    console.print(f"restored to {address}")


def group_new(database: Database) -> None:
    """Compare what was not compared yet, and say what was found."""
    from labeling.work.grouping import group_ads, ungrouped_count

    with database.read() as session:
        count = ungrouped_count(session)
    copies = 0
    if count:  # else the sketches of all ads would be read for nothing
        with progress_bar("comparing", count) as done:
            copies = group_ads(database, datetime.now(UTC), done)
    console.print(f"{count} ads compared, {copies} of them like an earlier one")


def _name_exports(database: Database, erased: Sequence[str]) -> None:
    """Say which exports hold ads that are erased."""
    if not erased:
        return
    with database.read() as session:
        found = exports_with(session, erased)
    for folder in found.folders:
        console.print(f"This export still holds what is erased; delete it and its copies: {folder}", soft_wrap=True)
    if found.gone:
        console.print(
            f"{len(found.gone)} exports cannot be looked into where they were made, {found.gone[0]} for one. Deleted ones are no "
            "matter; moved ones may hold it.",
            soft_wrap=True,
        )


@contextmanager
def opened() -> Iterator[Database]:
    """The database that the settings name."""
    database = Database(settings_from_environment().database_url)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def progress_bar(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error; gives what tells it how many more are done."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


def _show(file: Path, problems: Sequence[Problem]) -> None:
    for problem in problems[:_MOST_SHOWN]:
        errors.print(f"{file}: {problem}", highlight=False, markup=False, soft_wrap=True)
    if len(problems) > _MOST_SHOWN:
        errors.print(f"{file}: and {len(problems) - _MOST_SHOWN} more", highlight=False, markup=False)
