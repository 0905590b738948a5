"""``signaal-train``: make a model, look at what it is worth, put it into service.

Exit codes: 0 done; 1 the answer is no (drift: there is drift; promote: refused); 2 something is wrong, and stderr says what; 130
stopped by Ctrl-C.
"""

import contextlib
import logging
import re
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from models.errors import ModelError
from models.settings import ModelSettings
from training import run_cli, search_cli
from training.benchmark.cli import bench
from training.checked_settings import explained
from training.configuration import load_settings
from training.curve.cli import curve
from training.distillation.cli import distil
from training.drift.cli import drift
from training.errors import TrainingError
from training.fetched import fetched_once
from training.noise.cli import noise
from training.promotion_cli import add_commands
from training.run_cli import A_MODEL, described, options_given, print_result

FAILED = 2
SAFETENSORS_CANNOT_WRITE = r"Error while serializing: I/O error: (.+) \(os error"
TORCH_CANNOT_WRITE = r"inline_container\.cc:\d+\] \. unexpected pos|PytorchStreamWriter failed|^basic_ios::clear: iostream error"
"""What ``torch.save`` says; it has no kind of error for it."""
console = Console(stderr=True)


class _Commands(TyperGroup):
    """Typer and Rich end with exit code 1 when a pipe is broken or a file ends too early, and 1 has a meaning here."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, SystemExit) as error:  # Rich's way to say it; our commands raise typer.Exit
            raise TrainingError("Whoever read this output has gone.") from error
        except EOFError as error:
            raise RuntimeError("A file ended too early.") from error


app = typer.Typer(cls=_Commands, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)


app.command()(run_cli.init)
app.command()(run_cli.run)
app.command()(search_cli.search)


@app.command()
def evaluate(
    bundle: Annotated[str, typer.Argument(help=A_MODEL)],
    data: Annotated[Path, typer.Argument(help="Labelled-examples file with splits.")],
    output: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("reports/evaluation"),
) -> None:
    """Write a report (JSON, Markdown, HTML with plots) of a bundle on the test split of DATA, beside two baselines."""
    from training.full_evaluation import evaluate_bundle
    from training.named_bundle import open_named
    from training.report import zero_shot_only

    settings = ModelSettings()
    report, figures = evaluate_bundle(open_named(bundle, settings), data, output, settings)
    table = Table("label", "F1", "average precision", "positives")
    for name, entry in figures["labels"].items():
        precision = entry["average_precision"]
        table.add_row(name, f"{entry['f1']:.2f}", "–" if precision is None else f"{precision:.2f}", str(entry["support"]))
    console.print(table)
    where = ", in languages that training did not see" if zero_shot_only(figures) else ""
    console.print(f"macro-F1 over the indicators{where}: [bold]{figures['macro_f1']:.3f}[/]")
    console.print(f"report: {report}", markup=False)


@app.command()
def recalibrate(
    bundles: Annotated[list[str], typer.Argument(help=f"One model or several. {A_MODEL}")],
    data: Annotated[list[Path] | None, typer.Option(help=described("data"), show_default=False)] = None,
    output: Annotated[Path | None, typer.Option(help=described("output"), show_default=False)] = None,
    version: Annotated[str | None, typer.Option(help=described("version"), show_default=False)] = None,
) -> None:
    """Fit calibration and thresholds of a bundle anew on the validation split, without training; a new bundle comes out.

    Of several bundles that began with the same weights (start_from), or of one and others that began with it, the weights are
    averaged.
    """
    from training.named_bundle import open_named
    from training.run import recalibrate as run_recalibration

    settings, model_settings = load_settings(None, options_given(locals())), ModelSettings()
    opened = [open_named(bundle, model_settings) for bundle in bundles]
    print_result(run_recalibration(opened, settings, model_settings))


add_commands(app)  # compare, promote, rollback, models
for command in (distil, noise, curve, drift, bench):
    app.command()(command)


def main() -> None:
    """Console script: whatever goes wrong is exit code 2; an error that could be foreseen is one line, any other a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for chatty in ("alembic", "mlflow", "httpx", "onnxscript", "onnx_ir"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        with fetched_once():
            app()
    except Exception as error:
        with contextlib.suppress(OSError, SystemExit):  # stderr may be what is broken
            _say(error)
        raise SystemExit(FAILED) from error


def _say(error: Exception) -> None:
    message = foreseen(error)
    if message is None:
        print(_way_to(error), file=sys.stderr)
        message = f"{type(error).__name__} was not foreseen: please report it with the lines above."
    console.print(Text.assemble(("error:", "red"), " ", message), soft_wrap=True)


def _way_to(error: BaseException) -> str:
    """Where an error and those behind it come from, without their messages, which may hold a text."""
    behind = error.__cause__ or error.__context__
    before = f"{_way_to(behind)}which led to\n" if behind else ""
    return f"{before}{''.join(traceback.format_tb(error.__traceback__))}{type(error).__name__}\n"


def foreseen(error: Exception) -> str | None:
    """What to tell a person; None when nobody foresaw this error."""
    if isinstance(error, ModelError | TrainingError):
        return str(error)
    if isinstance(error, ValidationError) and error.title == ModelSettings.__name__:
        return "\n".join(f"SIGNAAL_{str(p['loc'][0]).upper()}: {explained(p, ModelSettings)}" for p in error.errors())
    if isinstance(error, MemoryError):
        return "There is not enough memory."
    kinds = {kind.__name__ for kind in type(error).__mro__}  # by name: MLflow and others take seconds to import
    if kinds & {"MlflowException", "SQLAlchemyError", "StorageInternalError"}:
        said = str(error).partition("\n")[0]
        return f"MLflow (SIGNAAL_MLFLOW_TRACKING_URI says which), or a search's study.db, cannot be used: {said}"
    return _about_files(error)


def _about_files(error: Exception) -> str | None:
    """What to tell of a file, a folder or a disk; weights and checkpoints are written by libraries with errors of their own."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}."
    if failed := re.match(SAFETENSORS_CANNOT_WRITE, str(error)):
        return f"Weights cannot be written: {failed[1]}."
    if re.search(TORCH_CANNOT_WRITE, str(error)):
        return "A checkpoint cannot be written: the disk is full, or may not be written to (torch does not say which)."
    return None
