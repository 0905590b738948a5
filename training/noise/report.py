"""Doubts as files: ``doubts.jsonl`` for the labelling queue, ``noise.json`` and ``noise.html`` for a person."""

import base64
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from models.example import LabelledExample
from models.taxonomy import Taxonomy
from training.noise.doubts import Doubt, Judgement
from training.noise.planting import Found
from training.report import template

QUEUE_FILE = "doubts.jsonl"


def write_queue(doubts: Sequence[Doubt], path: Path) -> None:
    """One doubt a line, the most doubtful first. It holds no text: the queue knows the ad by its id."""
    lines = (
        {
            "ad_id": doubt.id,
            "label": doubt.label,
            "given": doubt.given,
            "suggested": doubt.given != "present",
            "probability": round(doubt.probability, 4),
            "score": round(1 - doubt.quality, 4),
            "flagged": doubt.flagged,
            "reason": doubt.reason,
        }
        for doubt in doubts
    )
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def noise_facts(
    judgement: Judgement, examples: Sequence[LabelledExample], taxonomy: Taxonomy, how: Mapping[str, Any], planted: Found | None
) -> dict[str, Any]:
    """What ``noise.json`` says: counts only, and how it was done (``how``: way, encoder, folds, seed)."""
    doubts = judgement.doubts
    languages = sorted({example.lang for example in examples})
    of_label = {label: [d for d in doubts if d.label == label] for label in taxonomy.label_ids}
    positives = Counter(label for example in examples for label in example.labels)
    return {
        **how,
        "examples": len(examples),
        "pairs": len(examples) * (len(taxonomy.label_ids) - len(judgement.too_rare)),
        "flagged": sum(doubt.flagged for doubt in doubts),
        "listed": len(doubts),
        "too_rare": list(judgement.too_rare),
        "languages": languages,
        "by_label": {
            label: {
                "all": len(found),
                "given": sum(doubt.given == "present" for doubt in found),
                "missing": sum(doubt.given != "present" for doubt in found),
                "positives": positives[label],
                "languages": {lang: sum(doubt.lang == lang for doubt in found) for lang in languages},
            }
            for label, found in of_label.items()
        },
        "planted": asdict(planted) if planted else None,
    }


def heat_map(facts: Mapping[str, Any], examples: Sequence[LabelledExample]) -> Figure:
    """Doubts per hundred texts, by label and language."""
    counts = Counter(example.lang for example in examples)
    languages, labels = facts["languages"], list(facts["by_label"])
    values = np.array(
        [[100 * facts["by_label"][label]["languages"][lang] / counts[lang] for lang in languages] for label in labels]
    )
    figure, axis = plt.subplots(figsize=(3 + 0.6 * len(languages), 1 + 0.33 * len(labels)))
    image = axis.imshow(values, cmap="OrRd", aspect="auto", vmin=0)
    middle = values.max() / 2
    for (row, column), value in np.ndenumerate(values):
        if value:
            axis.text(
                column, row, f"{value:.1f}", ha="center", va="center", fontsize=7, color="white" if value > middle else "black"
            )
    axis.set_xticks(range(len(languages)), languages)
    axis.set_yticks(range(len(labels)), labels, fontsize=8)
    figure.colorbar(image, ax=axis, label="doubts per 100 texts")
    return figure


def write_noise_report(
    folder: Path,
    judgement: Judgement,
    facts: Mapping[str, Any],
    examples: Sequence[LabelledExample],
    *,
    top: int,
    show_texts: bool,
) -> Path:
    """Write the three files; returns the HTML file.

    Args:
        folder: where to; is made.
        judgement: what was found.
        facts: as ``noise_facts`` gives them.
        examples: the texts, for the plot's shares, and to be shown.
        top: how many doubts the page shows.
        show_texts: whether the page holds their texts; the other files never do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_queue(judgement.doubts, folder / QUEUE_FILE)
    (folder / "noise.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    picture = folder / "noise.png"
    figure = heat_map(facts, examples)
    figure.savefig(picture, dpi=110, bbox_inches="tight")
    plt.close(figure)
    shown = judgement.doubts[:top]
    wanted = {doubt.id for doubt in shown}
    texts = {example.id: example.text for example in examples if example.id in wanted} if show_texts else {}
    html = folder / "noise.html"
    page = template("noise.html").render(
        facts=facts,
        top=shown,
        texts=texts,
        plots={"Doubts per hundred texts": base64.b64encode(picture.read_bytes()).decode()},
    )
    html.write_text(page, encoding="utf-8")
    return html
