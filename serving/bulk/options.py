"""What ``score`` and ``score-parts`` have in common: options, exit code, summary."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from rich.table import Table

from serving.bulk.job import Format
from serving.errors import SettingsError

SOME_REJECTED = 3

TextColumn = Annotated[str, typer.Option(help="Field or column that holds the text.")]
IdColumn = Annotated[str | None, typer.Option(help="Field that holds the id (default: 'id' if there is one, else the line).")]
LanguageColumn = Annotated[str | None, typer.Option(help="Field that holds the language (default: 'language' if there is one).")]
InputFormat = Annotated[str | None, typer.Option("--format", help="ndjson, csv or parquet (default: by the name).")]
Indicators = Annotated[str | None, typer.Option(help="Only these labels, with commas between.")]
Evidence = Annotated[bool, typer.Option("--evidence/--no-evidence", help="Whether to give the words, too.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue a stopped job.")]


def format_named(name: str, option: str) -> Format:
    """The format that an option names.

    Raises:
        SettingsError: it is none.
    """
    for known in ("ndjson", "csv", "parquet"):
        if name == known:
            return known
    raise SettingsError(f"{option}: '{name}' is none of ndjson, csv, parquet.")


def labels_named(names: str | None) -> tuple[str, ...] | None:
    """The labels in a list with commas; None, which means all, when there is none."""
    return tuple(name.strip() for name in names.split(",")) if names else None


def summary(labels: Sequence[str], present: Mapping[str, int], uncertain: Mapping[str, int]) -> Table:
    """How many ads each label was found in."""
    table = Table("label", "present", "uncertain")
    for label in labels:
        table.add_row(label, str(present.get(label, 0)), str(uncertain.get(label, 0)))
    return table
