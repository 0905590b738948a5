"""``signaal-train init`` and ``signaal-train run``: a configuration file, and the run that it describes."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from models.settings import ModelSettings
from training.configuration import configuration_text, load_settings, parse_changes
from training.errors import ConfigurationError
from training.ignored import say_what_is_ignored
from training.settings import TrainingSettings

if TYPE_CHECKING:
    from training.run import RunResult
    from training.seeds import SeedFigure

console = Console(stderr=True)

SHOWN = (
    "validation/mean_average_precision",
    "test/macro_f1",
    "test/micro_f1",
    "test/mean_average_precision",
    "test/false_alert_share",
)
"""Figures of several seeds that are printed, besides those of the languages; MLflow has all."""


A_MODEL = "A model: 'released', a bundle folder, models:/signaal/3, models:/signaal@champion."


def described(field: str) -> str:
    """The description of a setting, for an option's help. In square brackets rich would take the default for markup."""
    setting = TrainingSettings.model_fields[field]
    default = setting.default
    shown = ", ".join(str(source.path) for source in default) if field == "data" else default
    return f"{setting.description} (default: {shown})" if shown is not None else setting.description or ""


def options_given(options: dict[str, Any]) -> dict[str, Any]:
    """A command's options that are settings and were given."""
    return {name: value for name, value in options.items() if name in TrainingSettings.model_fields and value not in (None, [])}


def init(
    file: Annotated[Path, typer.Argument(help="Where to.")] = Path("signaal.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a configuration file with every setting, what it is for, and its default; then: signaal-train run FILE."""
    if file.exists() and not force:
        raise ConfigurationError(f"{file} is there already. Name another file, or add --force to overwrite it.")
    file.write_text(configuration_text(TrainingSettings.model_construct()), encoding="utf-8")
    console.print(f"{file} is written. Change what you need, then: signaal-train run {file}", markup=False)


def run(
    config: Annotated[Path | None, typer.Argument(help="A configuration file, as 'signaal-train init' writes it.")] = None,
    data: Annotated[
        list[Path] | None, typer.Option(help=f"May be given several times. {described('data')}", show_default=False)
    ] = None,
    output: Annotated[Path | None, typer.Option(help=described("output"), show_default=False)] = None,
    method: Annotated[str | None, typer.Option(help=described("method"), show_default=False)] = None,
    epochs: Annotated[float | None, typer.Option(help=described("epochs"), show_default=False)] = None,
    max_steps: Annotated[int | None, typer.Option(help=described("max_steps"), show_default=False)] = None,
    layers: Annotated[int | None, typer.Option(help=described("layers"), show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help=described("seed"), show_default=False)] = None,
    version: Annotated[str | None, typer.Option(help=described("version"), show_default=False)] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", help="Any setting: key=value; may be given again.")] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            help="A run that was interrupted (its id, or the first eight characters): it goes on from its last checkpoint, with "
            "the configuration it began with. --output says where runs are."
        ),
    ] = None,
) -> None:
    """Fine-tune, calibrate, evaluate, report, and register the bundle in MLflow.

    Every setting is a line of CONFIG, an option --set key=value, or an environment variable SIGNAAL_TRAIN_<KEY>; the command
    line goes before the environment, and that before the file. See docs/training.md.
    """
    from training.processes import is_first_process

    if not is_first_process():
        logging.disable(logging.WARNING)
    given = {**parse_changes(changes or []), **options_given({k: v for k, v in locals().items() if k != "config"})}
    if resume is None:
        start(load_settings(config, given))
        return
    if config or set(given) - {"output"}:
        raise ConfigurationError("A run that goes on keeps its configuration: with --resume, only --output may be given.")
    from training.checkpoints import interrupted

    settings, run_id = interrupted(resume, load_settings(None, given).output)
    start(settings, run_id)


def start(settings: TrainingSettings, resume: str | None = None) -> None:
    """Run with one seed or with several, and print what came out."""
    from training.checkpoints import RunFolder

    say_what_is_ignored(settings)
    model_settings = ModelSettings()
    if resume:
        model_settings = RunFolder(settings.output, resume).model_settings(model_settings)
    if settings.seeds:
        from training.seeds import run_seeds

        print_seeds(settings, run_seeds(settings, model_settings, resume=resume))
        return
    from training.run import run as run_training

    result = run_training(settings, model_settings, resume=resume)
    if result is None:
        return
    print_result(result)
    if result.beside_teacher:
        from training.promotion_cli import print_comparison

        print_comparison(result.beside_teacher.comparison, result.beside_teacher.report)
        alias = settings.distillation.alias
        console.print(
            f"version {result.registered_version} has the alias {alias}; "
            f"serve it beside the champion with SIGNAAL_SERVE_MODELS=champion,{alias}"
        )


def print_result(result: "RunResult") -> None:
    """The main figure beside the baselines, and where things are."""
    from training.provenance import Unseen, unseen_by

    low, high = result.figures["macro_f1_interval"]
    known = unseen_by(result.bundle, result.bundle.manifest.data_digest) == Unseen.BY_ANY
    texts = "unseen test scenarios" if known else "the test split"
    console.print(f"macro-F1 over the indicators on {texts}: [bold]{result.figures['macro_f1']:.3f}[/] ({low:.2f}–{high:.2f})")
    for name, entry in result.baselines.items():
        console.print(f"  baseline {name.replace('_', ' ')}: {entry['macro_f1']:.3f}")
    console.print(f"bundle: {result.bundle.folder}\nreport: {result.report}", markup=False)
    console.print(
        f"registered as version {result.registered_version}; serve it with: signaal-train promote {result.registered_version}"
    )


def print_seeds(settings: TrainingSettings, figures: list["SeedFigure"]) -> None:
    """Mean and spread of the main figures and of each language."""
    if not figures:
        return
    table = Table("figure", "mean", "spread", *(f"seed {seed}" for seed in settings.seeds))
    for figure in figures:
        if figure.name in SHOWN or (figure.name.startswith("test/language/") and figure.name.endswith("/macro_f1")):
            table.add_row(figure.name, f"{figure.mean:.3f}", f"{figure.spread:.3f}", *(f"{value:.3f}" for value in figure.values))
    console.print(table)
