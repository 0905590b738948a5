"""``signaal-train``: make a model, look at what it is worth, put it into service."""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from models.bundle import RELEASED, Bundle, open_bundle
from models.errors import ModelError
from models.settings import ModelSettings
from training.curve.cli import curve
from training.drift.cli import drift
from training.errors import TrainingError
from training.noise.cli import noise
from training.settings import TrainingSettings

if TYPE_CHECKING:
    from training.run import RunResult

app = typer.Typer(no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
app.command()(curve)
app.command()(drift)
app.command()(noise)
console = Console(stderr=True)

_FIELDS = TrainingSettings.model_fields


def _default(field: str) -> str:
    return f"{_FIELDS[field].description} [default: {_FIELDS[field].default}]"


def _settings(options: dict[str, Any]) -> TrainingSettings:
    """Settings from a command's options; what was not given comes from the environment or is the default."""
    return TrainingSettings(**{name: value for name, value in options.items() if name in _FIELDS and value is not None})


def _opened(bundle: Path) -> Bundle:
    return open_bundle(RELEASED if str(bundle) == "released" else bundle)


@app.command()
def run(
    data: Annotated[Path | None, typer.Option(help=_default("data"), show_default=False)] = None,
    output: Annotated[Path | None, typer.Option(help=_default("output"), show_default=False)] = None,
    method: Annotated[str | None, typer.Option(help=_default("method"), show_default=False)] = None,
    epochs: Annotated[float | None, typer.Option(help=_default("epochs"), show_default=False)] = None,
    max_steps: Annotated[int | None, typer.Option(help=_default("max_steps"), show_default=False)] = None,
    layers: Annotated[int | None, typer.Option(help=_default("layers"), show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help=_default("seed"), show_default=False)] = None,
    version: Annotated[str | None, typer.Option(help=_default("version"), show_default=False)] = None,
) -> None:
    """Fine-tune, calibrate, evaluate, report, and register the bundle in MLflow.

    Every other setting is an environment variable SIGNAAL_TRAIN_<NAME>; see docs/training.md.
    """
    from training.run import run as run_training

    settings = _settings(locals())
    _print_result(run_training(settings, ModelSettings()))


def _print_result(result: "RunResult") -> None:
    low, high = result.figures["macro_f1_interval"]
    console.print(
        f"macro-F1 over the indicators on unseen test scenarios: [bold]{result.figures['macro_f1']:.3f}[/] ({low:.2f}–{high:.2f})"
    )
    for name, entry in result.baselines.items():
        console.print(f"  baseline {name.replace('_', ' ')}: {entry['macro_f1']:.3f}")
    console.print(f"bundle: {result.bundle.folder}\nreport: {result.report}")
    console.print(
        f"registered as version {result.registered_version}; serve it with: signaal-train promote {result.registered_version}"
    )


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
    bundle: Annotated[Path, typer.Argument(help="A bundle folder; 'released' for the one that ships.")],
    data: Annotated[Path | None, typer.Option(help=_default("data"), show_default=False)] = None,
    output: Annotated[Path | None, typer.Option(help=_default("output"), show_default=False)] = None,
    version: Annotated[str | None, typer.Option(help=_default("version"), show_default=False)] = None,
) -> None:
    """Fit calibration and thresholds of BUNDLE anew on the validation split, without training; a new bundle comes out."""
    from training.run import recalibrate as run_recalibration

    settings = _settings(locals())
    opened = _opened(bundle)
    _print_result(run_recalibration(opened, settings, ModelSettings()))


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="Version of the registered model.")],
) -> None:
    """Make a registered version the champion: a running server swaps it in within seconds."""
    from models.registry import promote as set_champion

    settings = ModelSettings()
    set_champion(version, settings)
    console.print(f"{settings.registered_model} version {version} is now the champion.")


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
