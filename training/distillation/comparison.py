"""Student and teacher side by side, in one run: how fast, how large, how good."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from models.bundle import WEIGHT_FILES, Bundle
from models.onnx_graph import graph_path
from models.runtime import Scorer
from models.settings import ModelSettings
from training.report import template

ROUNDS = 3
MOST_TEXTS = 300
MEGABYTE = 1_000_000


def throughput(scorers: Sequence[Scorer], texts: Sequence[str]) -> list[float]:
    """Texts a second of each scorer, the best of some rounds; they take turns, so that whatever else the machine does hits
    them alike."""
    some = list(texts[:MOST_TEXTS])
    best = [0.0] * len(scorers)
    for scorer in scorers:
        scorer.score(some[:10])
    for _ in range(ROUNDS):
        for place, scorer in enumerate(scorers):
            began = time.perf_counter()
            scorer.score(some)
            best[place] = max(best[place], len(some) / (time.perf_counter() - began))
    return best


def sizes(bundle: Bundle, settings: ModelSettings) -> dict[str, float]:
    """MB of the bundle's weights as they are kept, and of the graph that is run."""
    weights = sum((bundle.folder / name).stat().st_size for name in WEIGHT_FILES if (bundle.folder / name).is_file())
    graph = graph_path(bundle.weights_digest, settings.cache_dir, settings.precision).stat().st_size
    return {"weights_mb": weights / MEGABYTE, "graph_mb": graph / MEGABYTE}


def compare(
    teacher: tuple[Bundle, Scorer, dict[str, Any]],
    student: tuple[Bundle, Scorer, dict[str, Any]],
    texts: Sequence[str],
    settings: ModelSettings,
) -> dict[str, Any]:
    """The facts of the table, from bundle, scorer and test figures (``training.evaluation.figures``) of both.

    Args:
        teacher: the one that taught.
        student: the one that learnt.
        texts: what speed is measured on.
        settings: precision and cache.
    """
    speeds = throughput([teacher[1], student[1]], texts)
    sides = {
        role: {
            "identity": str(bundle.identity),
            "layers": bundle.manifest.base.layers,
            "texts_per_second": speed,
            **sizes(bundle, settings),
            **{name: figures[name] for name in ("macro_f1", "mean_average_precision", "false_alert_share", "evidence_token_f1")},
            "labels": {label: entry["f1"] for label, entry in figures["labels"].items()},
            "languages": {language: entry["macro_f1"] for language, entry in figures["languages"].items()},
        }
        for (role, (bundle, _, figures)), speed in zip({"teacher": teacher, "student": student}.items(), speeds, strict=True)
    }
    return {
        **sides,
        "times_as_fast": speeds[1] / speeds[0],
        "macro_f1_lost": sides["teacher"]["macro_f1"] - sides["student"]["macro_f1"],
        "precision": settings.precision,
        "speed_texts": min(len(texts), MOST_TEXTS),
    }


def write_comparison(folder: Path, facts: dict[str, Any]) -> Path:
    """``comparison.md``; ``facts`` as ``compare`` gives them."""
    path = folder / "comparison.md"
    path.write_text(str(template("student.md").render(**facts)), encoding="utf-8")
    return path


def console_table(facts: dict[str, Any]) -> Table:
    """The main rows, for a console."""
    teacher, student = facts["teacher"], facts["student"]
    table = Table("", "teacher", "student", title=f"{facts['times_as_fast']:.2f} times as fast")
    for name, key, form in (
        ("encoder layers", "layers", "{}"),
        ("texts a second", "texts_per_second", "{:.1f}"),
        ("weights, MB", "weights_mb", "{:.1f}"),
        ("macro-F1 over the indicators", "macro_f1", "{:.3f}"),
        ("mean average precision", "mean_average_precision", "{:.3f}"),
    ):
        table.add_row(name, form.format(teacher[key]), form.format(student[key]))
    for label, f1 in teacher["labels"].items():
        table.add_row(f"F1 {label}", f"{f1:.3f}", f"{student['labels'][label]:.3f}")
    return table
