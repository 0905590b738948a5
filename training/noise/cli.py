"""``signaal-train noise``: which labels are probably wrong."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from models.base import DEFAULT_BASE
from models.example import LabelledExample
from models.settings import ModelSettings
from models.taxonomy import Taxonomy, packaged_taxonomy
from training.configuration import load_settings
from training.labelled_file import read_labelled
from training.run_cli import A_MODEL

console = Console(stderr=True)

Logits = Callable[[Sequence[LabelledExample]], NDArray[np.float64]]
"""Labelled examples to logits out of sample, [examples, labels]; called again with planted labels."""


def noise(
    data: Annotated[Path, typer.Option(help="Labelled-examples file (JSON Lines); splits are not needed.")],
    output: Annotated[Path, typer.Option(help="Folder of doubts.jsonl, noise.json and noise.html.")] = Path("reports/noise"),
    way: Annotated[
        Literal["cheap", "full"],
        typer.Option(help="cheap: the network's heads on a frozen encoder, minutes. full: a fine-tuning for each fold, hours."),
    ] = "cheap",
    encoder: Annotated[
        str,
        typer.Option(
            help="Of the cheap way: 'base' for the base encoder, or a model, which sees more, but not the errors in the texts it "
            f"was trained on. {A_MODEL}"
        ),
    ] = "base",
    layers: Annotated[int | None, typer.Option(help="Keep only the first so many encoder layers.")] = None,
    folds: Annotated[int, typer.Option(min=2, help="In how many parts the scenarios are judged.")] = 5,
    planted: Annotated[
        float,
        typer.Option(
            min=0, max=0.5, help="Also measure the list: plant a wrong label in this share of the texts and search again."
        ),
    ] = 0.0,
    top: Annotated[int, typer.Option(min=1, help="Doubts that the page shows; doubts.jsonl has all.")] = 100,
    show_texts: Annotated[bool, typer.Option("--show-texts", help="Put the texts of these into the page.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of folds and heads.")] = 17,
) -> None:
    """List labels that are probably wrong, for the labelling queue and for a person.

    Every text is judged by a model that saw neither it nor its scenario; cleanlab (confident learning) finds what does not fit.
    The full way trains as `signaal-train run` does: settings are SIGNAAL_TRAIN_<NAME>.
    """
    from training.noise.doubts import find_doubts
    from training.noise.planting import found
    from training.noise.planting import planted as plant
    from training.noise.report import noise_facts, write_noise_report
    from training.out_of_fold import calibrated

    taxonomy = packaged_taxonomy()
    examples = read_labelled(data, taxonomy)
    name, logits = _way(way, encoder, layers, folds, seed, examples, taxonomy)
    judgement = find_doubts(examples, calibrated(logits(examples), examples, taxonomy), taxonomy)
    measured = None
    if planted:
        changed, wrong = plant(examples, taxonomy, planted, seed)
        again = find_doubts(changed, calibrated(logits(changed), changed, taxonomy), taxonomy)
        measured = found(again.doubts, wrong, changed, len(taxonomy.label_ids))
    how = {"way": way, "encoder": name, "folds": folds, "seed": seed}
    facts = noise_facts(judgement, examples, taxonomy, how, measured)
    html = write_noise_report(output, judgement, facts, examples, top=top, show_texts=show_texts)
    table = Table("label", "positives", "given, doubted", "missing, suspected")
    for label, row in facts["by_label"].items():
        table.add_row(label, str(row["positives"]), str(row["given"]), str(row["missing"]))
    console.print(table)
    if measured:
        console.print(
            f"of {measured.planted} planted errors the first {measured.planted} doubts hold {measured.found_in_top['1x']:.0%}, "
            f"the first {2 * measured.planted} {measured.found_in_top['2x']:.0%}"
        )
    console.print(
        f"{facts['flagged']} labels flagged, {facts['listed']} listed\nqueue: {output / 'doubts.jsonl'}\nreport: {html}",
        markup=False,
    )


def _way(
    way: str, encoder: str, layers: int | None, folds: int, seed: int, examples: list[LabelledExample], taxonomy: Taxonomy
) -> tuple[str, Logits]:
    """Name of the encoder, and what judges."""
    from training.frozen import FrozenEncoder, token_states
    from training.named_bundle import open_named
    from training.out_of_fold import scenario_folds, with_fine_tuning, with_heads

    parts = scenario_folds(examples, folds, seed)
    models = ModelSettings()
    if way == "full":
        settings = load_settings(None, {"seed": seed, **({} if layers is None else {"layers": layers})})
        return settings.base, lambda labelled: with_fine_tuning(labelled, parts, taxonomy, settings, models)
    if encoder == "base":
        frozen = FrozenEncoder.of_base(DEFAULT_BASE, models, layers)
    else:
        frozen = FrozenEncoder.of_bundle(open_named(encoder, models), models)
    known = token_states(frozen, examples, taxonomy)
    return frozen.name, lambda labelled: with_heads(known.with_labels_of(labelled, frozen.maker), parts, seed)
