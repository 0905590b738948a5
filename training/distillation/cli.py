"""The command ``signaal-train distil``."""

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from models.bundle import RELEASED, open_bundle
from models.settings import ModelSettings
from training.distillation.settings import DistillationSettings
from training.errors import TrainingError
from training.promotion_cli import print_comparison

console = Console(stderr=True)

_FIELDS = DistillationSettings.model_fields


def _help(field: str) -> Any:
    return typer.Option(help=f"{_FIELDS[field].description} [default: {_FIELDS[field].default}]", show_default=False)


def distil(
    teacher: Annotated[Path, typer.Argument(help="A bundle folder; 'released' for the one that ships.")],
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

    options = {name: value for name, value in locals().items() if name in _FIELDS and value is not None}
    try:
        settings = DistillationSettings(**options)
    except ValidationError as error:
        first = error.errors()[0]
        raise TrainingError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from error
    opened = open_bundle(RELEASED if str(teacher) == "released" else teacher)
    result = run_distillation(opened, settings, ModelSettings())
    print_comparison(result.comparison, result.beside_teacher)
    run = result.run
    console.print(f"bundle: {run.bundle.folder}\nits own report: {run.report}")
    console.print(
        f"registered as version {run.registered_version} with the alias {settings.alias}; "
        f"serve it beside the champion with SIGNAAL_SERVE_MODELS=champion,{settings.alias}"
    )
