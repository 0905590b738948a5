"""Plots of a comparison. Each function draws one figure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from training.plots import ACCENT, INK

UNCLEAR = "#8a949a"


def draw_comparison(facts: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Draw every plot into ``folder`` as PNG; returns title → file. ``facts`` as ``Comparison.to_json``."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {
        "F1 per label: B less A": ("label_f1", differences(facts["label_f1"], "F1, B less A")),
        "Macro-F1 per language: B less A": ("language_f1", differences(facts["language_f1"], "macro-F1, B less A")),
        "Reliability of the probabilities": ("reliability", reliability(facts["reliability"])),
        "IndicatorCheck: pairs that fail": ("indicator_check", failure_rates(facts["indicator_check"])),
    }
    paths: dict[str, Path] = {}
    for title, (name, figure) in drawn.items():
        paths[title] = folder / f"{name}.png"
        figure.savefig(paths[title], dpi=110, bbox_inches="tight")
        plt.close(figure)
    return paths


def differences(rows: Mapping[str, Any], label: str) -> Figure:
    """Each difference with its interval; in colour where the interval leaves zero out."""
    known = [(name, d) for name, d in rows.items() if d["difference"] is not None]
    figure, axis = plt.subplots(figsize=(7.5, 0.9 + 0.3 * len(known)))
    axis.axvline(0, color="black", lw=0.8)
    for place, (_, d) in enumerate(reversed(known)):
        low, high = d["interval"]
        colour = INK if low > 0 else ACCENT if high < 0 else UNCLEAR
        axis.plot([low, high], [place, place], color=colour, lw=2, solid_capstyle="round")
        axis.plot(d["difference"], place, "o", color=colour)
    axis.set_yticks(range(len(known)), [name for name, _ in reversed(known)], fontsize=9)
    axis.set(xlabel=f"{label}, 95% interval  (blue: B is better, red: A is, grey: not clear)")
    axis.grid(axis="x", alpha=0.3)
    return figure


def reliability(curves: Mapping[str, Any]) -> Figure:
    """Share that is really so against predicted probability, both models."""
    figure, axis = plt.subplots(figsize=(5, 4.6))
    axis.plot([0, 1], [0, 1], "--", color="grey", lw=1)
    for side, colour, mark in (("a", UNCLEAR, "s-"), ("b", INK, "o-")):
        points = curves[side]
        axis.plot([p["probability"] for p in points], [p["share"] for p in points], mark, color=colour, label=side.upper())
    axis.set(xlabel="predicted probability", ylabel="share that is really so", xlim=(0, 1), ylim=(0, 1))
    axis.legend(frameon=False)
    return figure


def failure_rates(rows: Mapping[str, Any]) -> Figure:
    """Failure rate of both models per capability, joined by a line."""
    known = [(name, d) for name, d in rows.items() if d["a"] is not None and d["b"] is not None]
    figure, axis = plt.subplots(figsize=(7, 0.9 + 0.32 * len(known)))
    for place, (_, d) in enumerate(reversed(known)):
        axis.plot([d["a"], d["b"]], [place, place], color="#cfd6da", lw=2, zorder=1)
        axis.plot(d["a"], place, "s", color=UNCLEAR, label="A" if place == 0 else None)
        axis.plot(d["b"], place, "o", color=INK, label="B" if place == 0 else None)
    axis.set_yticks(range(len(known)), [name for name, _ in reversed(known)])
    axis.set(xlabel="share of pairs that fail (less is better)", xlim=(-0.02, 1.02))
    axis.grid(axis="x", alpha=0.3)
    axis.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=2)
    return figure
