"""``signaal-train``: make a model, look at what it is worth, put it into service."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.bundle import RELEASED, Bundle, open_bundle
from models.errors import ModelError
from models.settings import ModelSettings
from training import run_cli, search_cli
from training.benchmark.cli import bench
from training.configuration import load_settings
from training.curve.cli import curve
from training.distillation.cli import distil
from training.drift.cli import drift
from training.errors import TrainingError
from training.noise.cli import noise
from training.promotion_cli import add_commands
from training.run_cli import described, options_given, print_result

app = typer.Typer(no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
console = Console(stderr=True)


def _opened(bundle: Path) -> Bundle:
    return open_bundle(RELEASED if str(bundle) == "released" else bundle)


app.command()(run_cli.init)
app.command()(run_cli.run)
app.command()(search_cli.search)


@app.command()
def evaluate(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder; 'released' for the one that ships.")],
    data: Annotated[Path, typer.Argument(help="Labelled-examples file with splits.")],
    output: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("reports/evaluation"),
) -> None:
    """Write a report (JSON, Markdown, HTML with plots) of a bundle on the test split of DATA, beside two baselines."""
    from training.run import evaluate_bundle

    opened = _opened(bundle)
    report, figures = evaluate_bundle(opened, data, output, ModelSettings())
    table = Table("label", "F1", "average precision", "positives")
    for name, entry in figures["labels"].items():
        precision = entry["average_precision"]
        table.add_row(name, f"{entry['f1']:.2f}", "–" if precision is None else f"{precision:.2f}", str(entry["support"]))
    console.print(table)
    console.print(f"macro-F1 over the indicators: [bold]{figures['macro_f1']:.3f}[/]\nreport: {report}")


@app.command()
def recalibrate(
    bundles: Annotated[list[Path], typer.Argument(help="A bundle folder, or several; 'released' for the one that ships.")],
    data: Annotated[list[Path] | None, typer.Option(help=described("data"), show_default=False)] = None,
    output: Annotated[Path | None, typer.Option(help=described("output"), show_default=False)] = None,
    version: Annotated[str | None, typer.Option(help=described("version"), show_default=False)] = None,
) -> None:
    """Fit calibration and thresholds of a bundle anew on the validation split, without training; a new bundle comes out.

    Of several bundles that began with the same weights (start_from) and differ in their seed, say, the weights are averaged.
    """
    from training.run import recalibrate as run_recalibration

    settings = load_settings(None, options_given(locals()))
    opened = [_opened(bundle) for bundle in bundles]
    print_result(run_recalibration(opened, settings, ModelSettings()))


add_commands(app)  # compare, promote, rollback, models
for command in (distil, noise, curve, drift, bench):
    app.command()(command)


def main() -> None:
    """Console script: known errors become one line and exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for chatty in ("alembic", "mlflow", "httpx", "onnxscript", "onnx_ir"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        app()
    except (ModelError, TrainingError) as error:
        console.print(f"[red]error:[/] {error}", highlight=False)
        raise SystemExit(2) from error
