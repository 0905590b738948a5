"""The command ``signaal-train distil``."""

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from training.configuration import load_settings, parse_changes
from training.distillation.settings import DistillationSettings
from training.run_cli import A_MODEL, described, options_given, start

OWN_DEFAULTS = {"encoder_lr": 2e-4, "head_lr": 3e-4, "epochs": 4, "augment_share": 0.5, "model_name": "signaal-student"}
"""What the command takes where nothing else is said: weights that begin as a teacher's want lower rates than fresh ones."""


def _help(field: str) -> Any:
    return typer.Option(help=DistillationSettings.model_fields[field].description, show_default=False)


def distil(
    teacher: Annotated[str, typer.Argument(help=A_MODEL)],
    config: Annotated[
        Path | None, typer.Option(help="A configuration file, as 'signaal-train init' writes it.", show_default=False)
    ] = None,
    data: Annotated[list[Path] | None, typer.Option(help=described("data"), show_default=False)] = None,
    output: Annotated[Path | None, typer.Option(help=described("output"), show_default=False)] = None,
    layers: Annotated[int | None, typer.Option(help=described("layers"), show_default=False)] = None,
    intermediate_size: Annotated[int | None, _help("intermediate_size")] = None,
    attention_heads: Annotated[int | None, _help("attention_heads")] = None,
    epochs: Annotated[
        float | None, typer.Option(help=f"Passes over the training split. (default: {OWN_DEFAULTS['epochs']})")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help=described("minutes"), show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help=described("seed"), show_default=False)] = None,
    version: Annotated[str | None, typer.Option(help=described("version"), show_default=False)] = None,
    alias: Annotated[str | None, _help("alias")] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", help="Any setting: key=value; may be given again.")] = None,
) -> None:
    """Make a smaller, faster student of TEACHER; a table says what it costs. It is registered, and served as any model is.

    It is a run with the method 'distil' that starts from TEACHER: all that is said of 'signaal-train run' holds, --resume, too.
    """
    from models.network import SignaalConfig
    from models.settings import ModelSettings
    from training.distillation.lesson import student_shape
    from training.named_bundle import open_named, place_of

    of_student = {"intermediate_size": intermediate_size, "attention_heads": attention_heads, "alias": alias}
    model_settings = ModelSettings()
    teacher = place_of(teacher, model_settings)  # once: the alias may move before the run begins
    given = {
        **parse_changes(changes or []),
        **options_given({name: value for name, value in locals().items() if name != "config"}),
        **{f"distillation.{name}": value for name, value in of_student.items() if value is not None},
        "method": "distil",
        "start_from": teacher,
    }
    bundle = open_named(teacher, model_settings)
    settings = load_settings(config, given, OWN_DEFAULTS).changed(base=bundle.manifest.base.name)
    student_shape(cast(SignaalConfig, SignaalConfig.from_json_file(bundle.folder / "config.json")), settings)  # refused early
    start(settings)
