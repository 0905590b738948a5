"""``signaal-train curve``: how much would more labels give?"""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.taxonomy import packaged_taxonomy
from training.configuration import load_settings
from training.labelled_file import read_labelled

console = Console(stderr=True)
FRACTIONS = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)


def curve(
    data: Annotated[Path, typer.Option(help="Labelled-examples file (JSON Lines); splits are not needed.")],
    output: Annotated[Path, typer.Option(help="Folder of curve.json and curve.html.")] = Path("reports/curve"),
    way: Annotated[
        Literal["cheap", "full"],
        typer.Option(help="cheap: the network's heads on the frozen base encoder. full: a fine-tuning for each point, hours."),
    ] = "cheap",
    more: Annotated[int, typer.Option(min=1, help="How many more labelled texts to ask about.")] = 500,
    language: Annotated[str, typer.Option(help="Vary only the texts of this language; all languages alike when left out.")] = "",
    layers: Annotated[int | None, typer.Option(help="Keep only the first so many encoder layers.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each size.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of the split, the drawings and the trainings.")] = 17,
) -> None:
    """Train on 10% to 100% of the data, fit a power law, and say what more labels would give, per label and language.

    The full way trains as `signaal-train run` does: settings are SIGNAAL_TRAIN_<NAME>.
    """
    from training.curve.gain import gains
    from training.curve.measure import measure_curve
    from training.curve.report import curve_facts, write_curve_report
    from training.curve.ways import full_way, heads_way

    taxonomy = packaged_taxonomy()
    examples = read_labelled(data, taxonomy)
    settings = load_settings(None, {"seed": seed, **({} if layers is None else {"layers": layers})})
    train = (full_way if way == "full" else heads_way)(examples, taxonomy, settings)
    measured = measure_curve(examples, FRACTIONS, seeds, train, seed=seed, language=language)
    labels, languages = gains(measured, taxonomy, seed)
    facts = curve_facts(measured, labels, languages, more, {"way": way, "encoder": settings.base, "seed": seed})
    html = write_curve_report(output, labels, languages, facts)
    for what, texts, rows in (("label", "texts with it", facts["labels"]), ("language", "texts in it", facts["languages"])):
        title = f"points of average precision (0 to 100) by {what}: now, and gained by {facts['added']}"
        table = Table(what, f"{texts} now", "now", "gain", "95% interval", title=title)
        for row in rows:
            gain, low, high = (100 * value for value in row["gain"])
            now = 100 * row["scores"][-1]
            table.add_row(escape(row["name"]), str(row["positives"]), f"{now:.1f}", f"+{gain:.1f}", f"{low:.1f}–{high:.1f}")
        console.print(table)
    console.print(f"report: {html}", markup=False)
