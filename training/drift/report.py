"""The drift report: ``drift.json``, and ``drift.html`` with its plots in it. Neither holds a text or an id."""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.drift.comparisons import Comparison, Thresholds
from training.drift.plots import draw_drift
from training.drift.sample import Sample
from training.report import template

GROUPS = {"scores": "score (mean)", "present": "share of 'present'", "mix": "mix", "texts": "texts"}
KINDS = {"psi": "PSI", "cohen_h": "h", "auc": "AUC"}


def drift_facts(reference: Sample, current: Sample, found: Sequence[Comparison], thresholds: Thresholds) -> dict[str, Any]:
    """What ``drift.json`` says."""
    compared = {one.name for one in found if one.group == "scores"}
    labels = list(dict.fromkeys([*reference.scored.probabilities, *current.scored.probabilities]))
    return {
        "drift": any(one.drifted for one in found),
        "bundle": reference.digest,
        "reference": {"name": reference.name, "ads": len(reference)},
        "current": {"name": current.name, "ads": len(current)},
        "texts": reference.characters is not None and current.characters is not None,
        "only_in_one": [label for label in labels if label not in compared],
        "thresholds": thresholds.model_dump(),
        "comparisons": [asdict(one) for one in found],
    }


def write_drift_report(
    folder: Path, reference: Sample, current: Sample, found: Sequence[Comparison], thresholds: Thresholds
) -> Path:
    """Write JSON, HTML and the plots; returns the HTML file."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = drift_facts(reference, current, found, thresholds)
    (folder / "drift.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    plots = draw_drift(reference, current, found, thresholds, folder)
    html = folder / "drift.html"
    html.write_text(
        template("drift.html").render(
            facts=facts,
            figure=_figure,
            p_value=_p_value,
            groups=GROUPS,
            kinds=KINDS,
            drifted=[f"{GROUPS[one.group]} {one.name}" for one in found if one.drifted],
            plots={title: base64.b64encode(path.read_bytes()).decode() for title, path in plots.items()},
        ),
        encoding="utf-8",
    )
    return html


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _p_value(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"
