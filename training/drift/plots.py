"""What drift looks like. Each function draws one figure of two samples."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.profile import BINS
from training.drift.comparisons import Comparison, Thresholds
from training.drift.sample import Sample
from training.plots import ACCENT, INK

MOST_CATEGORIES = 15


def draw_drift(
    reference: Sample, current: Sample, found: Sequence[Comparison], thresholds: Thresholds, folder: Path
) -> dict[str, Path]:
    """Draw every plot into ``folder`` as PNG; returns title → file."""
    figures = {
        "Size of every difference": ("sizes", sizes(found, thresholds)),
        "Scores": ("scores", score_histograms(reference, current, found)),
        "Languages and document types": ("mix", mixes(reference, current)),
    }
    if reference.characters is not None and current.characters is not None:
        figures["Texts"] = ("texts", text_histograms(reference, current))
    paths: dict[str, Path] = {}
    for title, (name, figure) in figures.items():
        paths[title] = folder / f"{name}.png"
        figure.savefig(paths[title], dpi=110, bbox_inches="tight")
        plt.close(figure)
    return paths


def sizes(found: Sequence[Comparison], thresholds: Thresholds) -> Figure:
    """How large each difference is, as a multiple of its threshold; a filled bar is drift."""
    figure, axis = plt.subplots(figsize=(9, 0.8 + 0.24 * len(found)))
    for place, one in enumerate(reversed(found)):
        smallest, threshold = (0.5, thresholds.auc) if one.kind == "auc" else (0.0, getattr(thresholds, one.kind))
        value = max(one.size - smallest, 0.0) / max(threshold - smallest, 1e-9)
        axis.barh(place, min(value, 8), color=ACCENT if one.drifted else INK, alpha=1.0 if one.drifted else 0.35)
    axis.axvline(1, color="black", lw=1, ls="--")
    axis.set_yticks(range(len(found)), [f"{one.group}: {one.name}" for one in reversed(found)], fontsize=8)
    axis.set(xlabel="size of the difference, threshold = 1 (cut at 8)", xlim=(0, 8), ylim=(-0.6, len(found) - 0.4))
    return figure


def score_histograms(reference: Sample, current: Sample, found: Sequence[Comparison]) -> Figure:
    """Distribution of each label's probability before and now; those that drifted have a coloured title."""
    labels = [one for one in found if one.group == "scores"]
    rows = -(-len(labels) // 4)
    figure, axes = plt.subplots(rows, 4, figsize=(12, 2.1 * rows), sharex=True, squeeze=False)
    for axis in axes.flat[len(labels) :]:
        axis.axis("off")
    for axis, one in zip(axes.flat, labels, strict=False):
        values = [sample.scored.probabilities[one.name] for sample in (reference, current)]
        _two_histograms(axis, [v[np.isfinite(v)] for v in values], np.linspace(0, 1, BINS + 1))
        axis.set_yscale("log")
        axis.set_title(one.name, fontsize=8, color=ACCENT if one.drifted else "black")
    axes.flat[0].legend(fontsize=7)
    figure.supxlabel("probability")
    figure.supylabel("share of ads (log)")
    figure.tight_layout()
    return figure


def mixes(reference: Sample, current: Sample) -> Figure:
    """Shares of languages and of document types."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 3.6))
    _bars(axes[0], "languages", reference.scored.languages, current.scored.languages)
    _bars(axes[1], "document types", reference.scored.document_types, current.scored.document_types)
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    return figure


def text_histograms(reference: Sample, current: Sample) -> Figure:
    """Lengths, emoji, unknown tokens and disguises."""
    figure, axes = plt.subplots(1, 4, figsize=(12, 2.8))
    for axis, name, before, now in (
        (axes[0], "characters", reference.characters, current.characters),
        (axes[1], "emoji per character", reference.emoji_rate, current.emoji_rate),
        (axes[2], "unknown tokens per token", reference.unknown_rate, current.unknown_rate),
        (axes[3], "disguised words per word", reference.disguised_rate, current.disguised_rate),
    ):
        if before is None or now is None:
            continue
        top = float(np.quantile(np.concatenate([before, now]), 0.995)) or 1.0
        _two_histograms(axis, [before.clip(max=top), now.clip(max=top)], np.linspace(0, top, 31))
        axis.set_title(name, fontsize=9)
        if name != "characters":
            axis.set_yscale("log")  # most texts have none
    axes[0].legend(fontsize=8)
    axes[0].set_ylabel("share of ads")
    figure.tight_layout()
    return figure


def _two_histograms(axis: Axes, values: Sequence["np.ndarray[tuple[int], np.dtype[np.float64]]"], edges: object) -> None:
    for sample, name, colour in zip(values, ("reference", "current"), (INK, ACCENT), strict=True):
        weights = np.full(len(sample), 1 / max(len(sample), 1))
        axis.hist(sample, bins=edges, weights=weights, histtype="step", lw=1.5, color=colour, label=name)  # type: ignore[arg-type]


def _bars(axis: Axes, title: str, before: Sequence[str], now: Sequence[str]) -> None:
    counts = [Counter(before), Counter(now)]
    keys = [key for key, _ in (counts[0] + counts[1]).most_common(MOST_CATEGORIES)]
    for offset, (count, name, colour) in enumerate(zip(counts, ("reference", "current"), (INK, ACCENT), strict=True)):
        shares = [count[key] / count.total() for key in keys]
        axis.bar(np.arange(len(keys)) + 0.4 * offset, shares, width=0.38, color=colour, label=name)
    axis.set_xticks(np.arange(len(keys)) + 0.2, [key.replace("_", "\n") or "?" for key in keys], fontsize=8)
    axis.set_title(title, fontsize=9)
