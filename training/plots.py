"""Plots of an evaluation, where people would rather look than read. Each function draws one figure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve

from training.evaluation import Predictions

INK = "#1f4e5f"
ACCENT = "#c8553d"


def draw_all(p: Predictions, figures: Mapping[str, Any], baselines: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Draw every plot into ``folder`` as PNG; returns title → file."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {
        "Macro-F1 beside the baselines": comparison(figures, baselines),
        "Precision and recall per indicator": precision_recall(p),
        "Reliability of the probabilities": reliability(p),
        "F1 per language and indicator": language_heat_map(p, figures),
    }
    paths: dict[str, Path] = {}
    for (title, figure), name in zip(drawn.items(), ("comparison", "precision_recall", "reliability", "languages"), strict=True):
        paths[title] = folder / f"{name}.png"
        figure.savefig(paths[title], dpi=110, bbox_inches="tight")
        plt.close(figure)
    return paths


def comparison(figures: Mapping[str, Any], baselines: Mapping[str, Any]) -> Figure:
    """Macro-F1 with its interval: the model and each baseline."""
    rows = {**{name.replace("_", " "): entry for name, entry in baselines.items()}, "this model": figures}
    figure, axis = plt.subplots(figsize=(7, 0.7 + 0.5 * len(rows)))
    for place, (name, entry) in enumerate(rows.items()):
        value, (low, high) = entry["macro_f1"], entry["macro_f1_interval"]
        axis.barh(place, value, color=ACCENT if name == "this model" else INK, height=0.6, alpha=0.85)
        axis.errorbar(value, place, xerr=[[max(value - low, 0)], [max(high - value, 0)]], color="black", capsize=4)
        axis.text(min(high + 0.02, 0.95), place, f"{value:.2f}", va="center")
    axis.set_yticks(range(len(rows)), list(rows))
    axis.set(xlim=(0, 1), xlabel="macro-F1 over the indicators, 95% interval")
    return figure


def precision_recall(p: Predictions) -> Figure:
    """A small precision–recall curve per indicator, with the working point."""
    names = p.taxonomy.indicator_ids
    columns = 4
    rows = -(-len(names) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(12, 2.6 * rows), sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    for i, (axis, name) in enumerate(zip(axes.flat, names, strict=False)):
        truth = p.truth[:, i]
        axis.set_title(name, fontsize=8)
        axis.set(xlim=(0, 1.02), ylim=(0, 1.05))
        if not truth.any():
            axis.text(0.5, 0.5, "no positives", ha="center")
            continue
        precision, recall, _ = precision_recall_curve(truth, p.probabilities[:, i])
        axis.step(recall, precision, where="post", color=INK)
        decided = p.decided[:, i]
        if decided.any():
            axis.plot(truth[decided].sum() / truth.sum(), truth[decided].mean(), "o", color=ACCENT)
    figure.supxlabel("recall")
    figure.supylabel("precision  (dot: where 'present' begins)")
    return figure


def reliability(p: Predictions) -> Figure:
    """Observed share against predicted probability, all indicators together, with how many there are in each bin."""
    n = len(p.taxonomy.indicators)
    probabilities, truth = p.probabilities[:, :n].ravel(), p.truth[:, :n].ravel()
    edges = np.linspace(0, 1, 11)
    place = np.clip(np.digitize(probabilities, edges) - 1, 0, 9)
    filled = [b for b in range(10) if (place == b).any()]
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(5, 6), sharex=True, height_ratios=[3, 1])
    top.plot([0, 1], [0, 1], "--", color="grey", lw=1)
    top.plot([probabilities[place == b].mean() for b in filled], [truth[place == b].mean() for b in filled], "o-", color=INK)
    top.set(ylabel="share that is really so", ylim=(0, 1))
    bottom.bar(edges[:-1] + 0.05, [max((place == b).sum(), 0.5) for b in range(10)], width=0.09, color=INK, log=True)
    bottom.set(xlabel="predicted probability", ylabel="decisions")
    return figure


def language_heat_map(p: Predictions, figures: Mapping[str, Any]) -> Figure:
    """F1 per language and indicator; empty where the language has no positive."""
    languages = list(figures["languages"])
    names = p.taxonomy.indicator_ids
    values = np.array([[figures["languages"][lang]["label_f1"][name] for name in names] for lang in languages], dtype=float)
    figure, axis = plt.subplots(figsize=(11, 0.9 + 0.45 * len(languages)))
    image = axis.imshow(values, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            axis.text(
                column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color="black" if value > 0.6 else "white"
            )
    axis.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
    axis.set_yticks(range(len(languages)), languages)
    figure.colorbar(image, ax=axis, label="F1")
    return figure
