"""The command ``signaal-train bench``."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from models.settings import ModelSettings
from training.benchmark.settings import BenchmarkSettings
from training.checked_settings import checked

console = Console(stderr=True)

_FIELDS = BenchmarkSettings.model_fields


def _help(field: str) -> Any:
    return typer.Option(help=_FIELDS[field].description, show_default=False)


def bench(
    dataset: Annotated[Path, typer.Argument(help="JSON Lines: text, labels; lang, spans, split where there are.")],
    single: Annotated[
        bool | None,
        typer.Option("--single/--multi", help="One label a text, or any number; seen from the data.", show_default=False),
    ] = None,
    seeds: Annotated[int | None, _help("seeds")] = None,
    minutes: Annotated[float | None, _help("minutes")] = None,
    epochs: Annotated[float | None, _help("epochs")] = None,
    method: Annotated[str | None, _help("method")] = None,
    max_tokens: Annotated[int | None, _help("max_tokens")] = None,
    base: Annotated[str | None, _help("base")] = None,
    baseline: Annotated[bool | None, typer.Option("--baseline/--no-baseline", help=_FIELDS["baseline"].description)] = None,
    output: Annotated[Path | None, _help("output")] = None,
    published: Annotated[Path | None, _help("published")] = None,
    keep_texts: Annotated[bool | None, typer.Option("--keep-texts", help=_FIELDS["keep_texts"].description)] = None,
) -> None:
    """Fine-tune the network on DATASET's own labels and report what the literature reports, beside two baselines.

    Every other setting is an environment variable SIGNAAL_BENCH_<NAME>; see docs/benchmarks.md.
    """
    from training.benchmark.benchmark import BenchmarkResult, run_benchmark
    from training.benchmark.report import console_table

    options = {name: value for name, value in locals().items() if name in _FIELDS and value is not None}
    if single is not None:
        options["task"] = "single" if single else "multi"

    def show(result: BenchmarkResult) -> None:
        Console().print(console_table(result.facts))
        console.print(f"report: {result.report}", markup=False)

    run_benchmark(dataset, checked(BenchmarkSettings, options), ModelSettings(), show)
