"""The learning curves as ``curve.json`` and ``curve.html`` with plots."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from training.curve.gain import Gain
from training.curve.measure import Curve
from training.plots import ACCENT, INK
from training.report import template


def curve_facts(
    curve: Curve, labels: Sequence[Gain], languages: Sequence[Gain], more: int, how: Mapping[str, Any]
) -> dict[str, Any]:
    """What ``curve.json`` says (``how``: way, encoder, seed)."""
    added = f"{more} more labelled texts {f'in {curve.varied}' if curve.varied else 'of all languages together'}"
    return {
        **how,
        "unit": f"scores, ceiling: average precision, 0 to 1; gain: its rise by {added}, and the 95% interval",
        "more": more,
        "added": added,
        "language": curve.varied,
        "judged": len(curve.judged),
        "seeds": curve.logits.shape[1],
        "sizes": [round(float(size)) for size in curve.sizes],
        "labels": [_row(gain, more) for gain in labels],
        "languages": [_row(gain, more) for gain in languages],
    }


def _row(gain: Gain, more: int) -> dict[str, Any]:
    return {
        "name": gain.name,
        "positives": gain.positives,
        "scores": [round(float(score), 4) for score in gain.scores],
        "gain": [round(value, 4) for value in gain.gain(more)],
        "ceiling": round(1 - float(gain.laws.floor[0]), 4),
        "exponent": round(float(gain.laws.exponent[0]), 3),
    }


def draw_gains(gains: Sequence[Gain], more: int) -> Figure:
    """A small curve each: what was measured, the law, and where it goes."""
    columns = 4
    rows = -(-len(gains) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(12, 2.4 * rows), sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[len(gains) :]:
        axis.axis("off")
    for axis, gain in zip(axes.flat, gains, strict=False):
        along = np.linspace(gain.sizes[0], gain.sizes[-1] + more, 60)
        predicted = np.array([gain.predicted(float(size)) for size in along])
        axis.fill_between(along, predicted[:, 1], predicted[:, 2], color=ACCENT, alpha=0.18, lw=0)
        axis.plot(along, predicted[:, 0], color=ACCENT, lw=1.2)
        errors = np.clip([gain.scores - gain.low, gain.high - gain.scores], 0, None)
        axis.errorbar(gain.sizes, gain.scores, yerr=errors, fmt="o", ms=3, lw=1, color=INK)
        axis.axvline(gain.sizes[-1], color="grey", lw=0.8, ls=":")
        axis.set_title(gain.name, fontsize=8)
        axis.set_ylim(0, 1.02)
    figure.supxlabel("texts learnt from (dotted: all there are)")
    figure.supylabel("average precision")
    figure.tight_layout()
    return figure


def write_curve_report(folder: Path, labels: Sequence[Gain], languages: Sequence[Gain], facts: Mapping[str, Any]) -> Path:
    """Write JSON, HTML and plots; returns the HTML file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "curve.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    plots = {}
    for title, name, gains in (("By label", "labels", labels), ("By language", "languages", languages)):
        if gains:
            path = folder / f"{name}.png"
            figure = draw_gains(gains, facts["more"])
            figure.savefig(path, dpi=110, bbox_inches="tight")
            plt.close(figure)
            plots[title] = base64.b64encode(path.read_bytes()).decode()
    html = folder / "curve.html"
    html.write_text(template("curve.html").render(facts=facts, plots=plots), encoding="utf-8")
    return html
