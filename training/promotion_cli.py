"""``signaal-train compare``, ``promote``, ``rollback`` and ``models``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.onnx_graph import Precision
from models.settings import ModelSettings
from training.errors import TrainingError
from training.run_cli import A_MODEL

if TYPE_CHECKING:
    from training.comparison import Comparison
    from training.gates import Verdict
    from training.resampling import Difference

REFUSED = 1
PRECISIONS = ("fp32", "int8")

console = Console(stderr=True)

Data = Annotated[Path, typer.Option(help="Labelled-examples file; its test split decides.")]
Reason = Annotated[str, typer.Option(help="Why; is kept in MLflow.", show_default=False)]


def add_commands(app: typer.Typer) -> None:
    """Add the commands to ``signaal-train``."""
    for command in (compare, promote, rollback, models):
        app.command()(command)


def compare(
    a: Annotated[str, typer.Argument(help=A_MODEL)],
    b: Annotated[str | None, typer.Argument(help="Another one; A itself when left out.", show_default=False)] = None,
    data: Data = Path("data/corpus.jsonl"),
    precision: Annotated[
        str | None,
        typer.Option(
            help="fp32 or int8; 'fp32,int8' for A in the one and B in the other (default: SIGNAAL_PRECISION).", show_default=False
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("reports/comparison"),
) -> None:
    """Hold two models against one another on the test split of DATA: report as HTML with plots, JSON, and in MLflow."""
    from training.measurement import open_contender
    from training.promotion import compare_models

    settings = ModelSettings()
    of_a, of_b = _precisions(precision or settings.precision)
    if b in (None, a) and of_a == of_b:
        raise TrainingError("A model cannot be compared with itself; name another one, or two precisions: --precision fp32,int8.")
    contenders = open_contender(a, settings, of_a), open_contender(b or a, settings, of_b)
    comparison, report = compare_models(*contenders, data, output, settings)
    print_comparison(comparison, report)


def print_comparison(comparison: "Comparison", report: Path) -> None:
    """The main rows, for a console."""
    console.print(f"A: {comparison.a.name}\nB: {comparison.b.name}", highlight=False, markup=False)
    table = Table("", "A", "B", "B − A", "95% interval", "P(better)")
    for name, found in comparison.figures.items():
        _add_difference(table, name.replace("_", " "), found)
    console.print(table)
    speed = comparison.speed
    console.print(
        f"B scores {speed.throughput_ratio:.2f} times as many texts a second and takes {speed.latency_ratio:.2f} times as long "
        f"for one text.\nreport: {report}",
        highlight=False,
    )


def _precisions(given: str) -> tuple[Precision, Precision]:
    names = given.split(",")
    if len(names) > 2 or not set(names) <= set(PRECISIONS):
        raise TrainingError(f"--precision is one of {', '.join(PRECISIONS)}, or two with a comma between, not {given!r}.")
    return cast(Precision, names[0]), cast(Precision, names[-1])


def _add_difference(table: Table, name: str, found: "Difference") -> None:
    interval = "–" if found.interval is None else f"{found.interval[0]:+.3f} to {found.interval[1]:+.3f}"
    p = "–" if found.p_better is None else f"{found.p_better:.2f}"
    table.add_row(name, _number(found.a), _number(found.b), _number(found.difference, "+.3f"), interval, p)


def _number(value: float | None, form: str = ".3f") -> str:
    return "–" if value is None else format(value, form)


def promote(
    model: Annotated[str, typer.Argument(help="Version of the registered model, or whatever 'compare' takes.")],
    data: Data = Path("data/corpus.jsonl"),
    gates: Annotated[
        Path | None, typer.Option(help="Limits, as training/gates.yaml (default: that file).", show_default=False)
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("reports/promotion"),
    force: Annotated[bool, typer.Option("--force", help="Promote even if a gate is shut; needs --reason.")] = False,
    reason: Reason = "",
) -> None:
    """Make a model the champion if all gates are open: a running server swaps it in within seconds.

    It is compared with the champion on the test split of DATA. When a gate is shut, the exit code is 1 and nothing changes.
    """
    from training.gates import PACKAGED_GATES, load_gates
    from training.promotion import promote as run_promotion

    if force != bool(reason.strip()):
        raise TrainingError("--force and --reason belong together: who reads it later must know why the gates were passed over.")
    settings = ModelSettings()
    limits = load_gates(gates or PACKAGED_GATES)
    result = run_promotion(model, data, limits, output, settings, force_reason=reason.strip())
    if result.verdicts:
        console.print(_gates_table(result.verdicts))
    if result.not_judged:
        console.print(f"[red]The gates could not be asked:[/] {escape(result.not_judged)}", highlight=False)
    if result.report:
        console.print(f"report: {result.report}", highlight=False, markup=False)
    if result.move is None:
        console.print(
            f"[red]refused:[/] {escape(str(result.candidate.bundle.identity))} does not become the champion.", highlight=False
        )
        for refusal in result.refusals:
            console.print(f"  {refusal}", highlight=False, markup=False)
        raise typer.Exit(REFUSED)
    console.print(
        f"{settings.registered_model} version {result.move.champion} ({result.candidate.bundle.identity}) is now the champion; "
        f"before it was {result.move.former}. Back again: signaal-train rollback",
        highlight=False,
    )


def _gates_table(verdicts: "list[Verdict]") -> Table:
    """What is shut, a row each; a gate that is open has one row, or one for each figure that the champion's could let pass."""
    table = Table("gate", "of", "champion", "model", "difference", "limit", "")
    for name in dict.fromkeys(verdict.gate for verdict in verdicts):
        of_gate = [verdict for verdict in verdicts if verdict.gate == name]
        shut = [verdict for verdict in of_gate if verdict.refusal]
        shown = shut or [verdict for verdict in of_gate if verdict.passed_by] or of_gate[:1]
        for verdict in shown:
            several = not shut and len(shown) < len(of_gate)
            table.add_row(
                name,
                f"all {len(of_gate)}" if several else verdict.what,
                "" if several else _number(verdict.a),
                "" if several else _number(verdict.b),
                "" if several else _number(verdict.difference, "+.3f"),
                verdict.limit,
                f"[red]shut:[/] {escape(verdict.refusal)}" if verdict.refusal else f"[green]open[/] {verdict.passed_by}".strip(),
            )
    return table


def rollback(reason: Reason = "") -> None:
    """Make the former champion the champion again; a second time, the one before that. No gate is asked."""
    from training.champion import roll_back

    settings = ModelSettings()
    move = roll_back(reason, settings)
    console.print(
        f"{settings.registered_model}: the champion is {_said(move.champion)} again; it was {_said(move.former)}.",
        highlight=False,
    )


def _said(champion: str) -> str:
    return champion if champion == "released" else f"version {champion}"


def models() -> None:
    """List the registered versions: who has which alias, key figures of each, and how the champion changed."""
    from training.champion import champion_now, history
    from training.promotion import registered_models
    from training.tracking import BUNDLE_DIGEST_TAG, BUNDLE_VERSION_TAG

    settings = ModelSettings()
    table = Table("version", "alias", "model", "bundle", "registered", "macro-F1", "mAP", "false alerts", "gates")
    for row in registered_models(settings):
        figures = [
            _number(row.figures.get(f"test/{name}")) for name in ("macro_f1", "mean_average_precision", "false_alert_share")
        ]
        gates = "passed over" if row.tags.get("forced_because") else row.tags.get("gates", "–")
        bundle = row.tags.get(BUNDLE_VERSION_TAG, "–"), row.tags.get(BUNDLE_DIGEST_TAG, "–")[:12]
        table.add_row(row.version, ", ".join(row.aliases), *bundle, f"{row.created:%Y-%m-%d %H:%M}", *figures, gates)
    console.print(table)
    console.print(f"champion: {_said(champion_now(settings))}", highlight=False)
    for move in history(settings):
        because = f": {move.reason}" if move.reason else ""
        ended = "" if move.carried_out else " (interrupted: nobody wrote down its end)"
        line = f"{move.at} {move.who} {move.kind} {_said(move.former)} → {_said(move.champion)}{because}{ended}"
        console.print(line, highlight=False, markup=False)
