"""``signaal-train drift``: do the ads still look like those of before? Made for cron."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.settings import ModelSettings
from training.errors import TrainingError
from training.run_cli import A_MODEL

console = Console(stderr=True)


def drift(
    reference: Annotated[Path, typer.Argument(help="How it was: JSON Lines of `signaal-serve score`, or with a field text.")],
    current: Annotated[Path, typer.Argument(help="How it is: the same.")],
    output: Annotated[Path, typer.Option(help="Folder of drift.json and drift.html.")] = Path("reports/drift"),
    bundle: Annotated[
        str, typer.Option(help=f"What reads texts; it must be the one that made the scores. {A_MODEL}")
    ] = "released",
    alpha: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Adjusted p-value below which a difference is not chance; bounds the share of false alarms."
        ),
    ] = 0.01,
    psi: Annotated[float, typer.Option(min=0, help="Smallest PSI that counts: scores, languages, document types, texts.")] = 0.1,
    cohen_h: Annotated[
        float, typer.Option(min=0, help="Smallest Cohen's h that counts: share of 'present' (1% to 5% is 0.25).")
    ] = 0.2,
    auc: Annotated[
        float, typer.Option(min=0.5, max=1, help="Smallest AUC that counts: a classifier that tells the embeddings apart.")
    ] = 0.6,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn: texts to embed, the classifier's split.")] = 17,
) -> None:
    """Compare two samples of scored ads. Exit code 0: no drift; 1: drift; 2: an error.

    Without texts it compares scores, shares of 'present', languages and document types; with texts in both files also
    lengths, emoji, unknown tokens, disguises and embeddings. The report holds no text.
    """
    from training.drift.comparisons import Thresholds, compare
    from training.drift.report import write_drift_report
    from training.drift.sample import read_sample_file, sample_of

    thresholds = Thresholds(alpha=alpha, psi=psi, cohen_h=cohen_h, auc=auc)
    files = [read_sample_file(path) for path in (reference, current)]
    reader = None
    if any(file.has_texts for file in files):
        from training.drift.reading import BundleReader
        from training.named_bundle import open_named

        settings = ModelSettings()
        opened = open_named(bundle, settings)
        for file in files:
            if file.digest not in (None, opened.digest):
                raise TrainingError(
                    f"{file.path} was scored by bundle {str(file.digest)[:12]}, but --bundle is {opened.identity}. Give the one "
                    "that made the scores, or leave the texts out of both files."
                )
        reader = BundleReader(opened, settings)
    before, now = (sample_of(file, reader, seed) for file in files)
    found = compare(before, now, thresholds, seed)
    html = write_drift_report(output, before, now, found, thresholds)
    drifted = [one for one in found if one.drifted]
    if drifted:
        table = Table("what", "", "before", "now", "size", "p, adjusted")
        for one in drifted:
            shown = ["" if value is None else f"{value:.3g}" for value in (one.before, one.now)]
            table.add_row(one.group, one.name, *shown, f"{one.kind} {one.size:.2f}", f"{one.p_adjusted:.2g}")
        console.print(table)
    verdict = "drift" if drifted else "no drift"
    console.print(f"{verdict}: {len(drifted)} of {len(found)} comparisons\nreport: {html}", markup=False)
    if drifted:
        raise typer.Exit(1)
