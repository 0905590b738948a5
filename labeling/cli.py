"""``signaal-label``: ads in, examples for training out, and the pages between."""

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from labeling.accounts.cli import app as account_app
from labeling.audit_cli import app as audit_app
from labeling.corpus_files import CORPUS_FOLDER, corpus_paths, read_corpus
from labeling.corpus_report import NGRAM, CorpusReport, corpus_report
from labeling.corpus_rules import Bounds, broken_bounds, broken_rules
from labeling.data_cli import app as data_app
from labeling.errors import CorpusError, IncompleteImportError, LabelingError
from labeling.exchange_cli import app as exchange_app
from labeling.web.web_cli import app as web_app
from models.errors import ModelError
from models.example import write_examples
from models.taxonomy import packaged_taxonomy

app = typer.Typer(no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
corpus_app = typer.Typer(no_args_is_help=True, help="The authored corpus.")
app.add_typer(corpus_app, name="corpus")
app.add_typer(data_app)
app.add_typer(audit_app)
app.add_typer(web_app)
app.add_typer(account_app, name="account")
app.add_typer(exchange_app, name="label-studio")
console = Console(width=max(Console().width, 130))  # the table of counts has a column a language
errors = Console(stderr=True)

Folder = Annotated[Path, typer.Option(help="Folder with one *.jsonl file a language.")]


@corpus_app.command()
def check(
    folder: Folder = CORPUS_FOLDER,
    bounds: Annotated[bool, typer.Option(help="Also demand the counts that make a corpus whole.")] = True,
) -> None:
    """Check every line and the whole, and count labels by language. Exit code 1 when a rule or a bound is broken."""
    taxonomy = packaged_taxonomy()
    corpus = read_corpus(corpus_paths(folder), taxonomy)
    report = corpus_report(corpus, taxonomy)
    console.print(_table(report))
    console.print("splits: " + ", ".join(f"{split} {count}" for split, count in report.splits.most_common()))
    problems = broken_rules(corpus)
    if bounds:
        problems += broken_bounds(report, taxonomy, Bounds())
    if problems:
        raise CorpusError(problems)
    console.print("no rule is broken")


def _table(report: CorpusReport) -> Table:
    languages = sorted(report.examples)
    title = f"{report.examples.total()} examples, {report.without_indicator} without an indicator"
    table = Table(Column(no_wrap=True), *languages, "all", title=title, box=SIMPLE)
    table.add_row("examples", *(str(report.examples[lang]) for lang in languages), str(report.examples.total()))
    diversity = [report.diversity[lang] for lang in languages]
    table.add_row("words", *(str(d.words) for d in diversity), str(sum(d.words for d in diversity)))
    table.add_row("different words", *(str(d.different_words) for d in diversity), "")
    table.add_row(f"repeated runs of {NGRAM} words", *(f"{d.repeated_ngrams:.1%}" for d in diversity), "")
    for heading, counts in (
        ("positives", report.positives),
        ("hard negatives", report.hard_negatives),
        ("document types", report.document_types),
    ):
        table.add_section()
        table.add_row(f"[bold]{heading}[/]")
        for name, by_language in counts.items():
            table.add_row(name, *(str(by_language[lang]) for lang in languages), str(by_language.total()))
    return table


@corpus_app.command()
def export(
    output: Annotated[Path, typer.Argument(help="Labelled-examples file to write (JSON Lines).")] = Path("data/corpus.jsonl"),
    folder: Folder = CORPUS_FOLDER,
) -> None:
    """Write the corpus as labelled examples with splits, for signaal-train; what it is goes beside it as Markdown."""
    count = write_examples((item.example for item in read_corpus(corpus_paths(folder))), output)
    description = folder / "DESCRIPTION.md"
    if description.is_file():
        shutil.copyfile(description, output.with_suffix(".md"))
    console.print(f"{count} examples in {output}")


def main() -> None:
    """Console script: known errors become plain lines; exit code 1 for a broken corpus or rows that were refused, 2 for
    anything else known."""
    try:
        app()
    except CorpusError as error:
        for problem in error.problems:
            errors.print(problem, highlight=False, markup=False)
        raise SystemExit(1) from error
    except (LabelingError, ModelError) as error:
        errors.print(f"error: {error}", highlight=False, markup=False)
        raise SystemExit(1 if isinstance(error, IncompleteImportError) else 2) from error
