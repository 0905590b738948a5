"""The command ``signaal-train distil``."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from models.settings import ModelSettings
from training.checked_settings import checked
from training.distillation.settings import DistillationSettings
from training.promotion_cli import print_comparison
from training.run_cli import A_MODEL

console = Console(stderr=True)

_FIELDS = DistillationSettings.model_fields


def _help(field: str) -> Any:
    return typer.Option(help=f"{_FIELDS[field].description} [default: {_FIELDS[field].default}]", show_default=False)


def distil(
    teacher: Annotated[str, typer.Argument(help=A_MODEL)],
    data: Annotated[Path | None, _help("data")] = None,
    output: Annotated[Path | None, _help("output")] = None,
    layers: Annotated[int | None, _help("layers")] = None,
    epochs: Annotated[float | None, _help("epochs")] = None,
    minutes: Annotated[float | None, _help("minutes")] = None,
    seed: Annotated[int | None, _help("seed")] = None,
    version: Annotated[str | None, _help("version")] = None,
) -> None:
    """Make a smaller, faster student of TEACHER; a table says what it costs. It is registered, and served as any model is.

    Every other setting is an environment variable SIGNAAL_DISTIL_<NAME>; see docs/distillation.md.
    """
    from training.distillation.distil import distil as run_distillation
    from training.named_bundle import open_named

    options = {name: value for name, value in locals().items() if name in _FIELDS and value is not None}
    settings, model_settings = checked(DistillationSettings, options), ModelSettings()
    result = run_distillation(open_named(teacher, model_settings), settings, model_settings)
    print_comparison(result.comparison, result.beside_teacher)
    run = result.run
    console.print(f"bundle: {run.bundle.folder}\nits own report: {run.report}", markup=False)
    console.print(
        f"registered as version {run.registered_version} with the alias {settings.alias}; "
        f"serve it beside the champion with SIGNAAL_SERVE_MODELS=champion,{settings.alias}"
    )
