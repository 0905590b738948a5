"""``signaal-train search``: which settings are best, within a budget of minutes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.settings import ModelSettings
from training.configuration import load_settings, parse_changes

if TYPE_CHECKING:
    from training.search import SearchResult

console = Console(stderr=True)


def search(
    config: Annotated[Path, typer.Argument(help="A configuration file; its section 'search' says what to try.")],
    minutes: Annotated[float | None, typer.Option(help="How long it may take, instead of what the file says.")] = None,
    trials: Annotated[int | None, typer.Option(help="At most so many trials.")] = None,
    name: Annotated[str, typer.Option(help="Name of the search; one of this name that is there goes on.")] = "default",
    output: Annotated[Path | None, typer.Option(help="Folder of the results, instead of what the file says.")] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", help="Any setting: key=value; may be given again.")] = None,
) -> None:
    """Try settings in short runs, compare them on the validation split, and write the best as a file that 'run' takes.

    Each trial is a run nested in the search's MLflow run. What is not promising stops early. A search that was stopped goes on
    when the command is given again.
    """
    from training.search import search as run_search

    given = {"search.minutes": minutes, "search.trials": trials, "output": output}
    options = {name: value for name, value in given.items() if value is not None}
    result = run_search(load_settings(config, {**parse_changes(changes or []), **options}), ModelSettings(), name=name)
    _print(result)


def _print(result: "SearchResult") -> None:
    """The trials, best first, and where things are."""
    settings = list(result.best.params)
    table = Table("trial", "score", "epochs", "state", *settings)
    scored = [trial for trial in result.trials if trial.intermediate_values]
    for trial in sorted(scored, key=lambda trial: (trial.number != result.best.number, -max(trial.intermediate_values.values()))):
        values = [f"{value:.3g}" if isinstance(value, float) else str(value) for value in map(trial.params.get, settings)]
        score, epochs = max(trial.intermediate_values.values()), len(trial.intermediate_values)
        table.add_row(str(trial.number), f"{score:.4f}", str(epochs), trial.state.name.lower(), *values)
    console.print(table)
    console.print(f"best: trial {result.best.number}, validation mean average precision [bold]{result.best.value:.4f}[/]")
    plots = ", ".join(str(path) for path in result.plots)
    console.print(f"plots: {plots}\nrun it with: signaal-train run {result.config}", markup=False)
