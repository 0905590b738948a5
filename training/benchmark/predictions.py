"""The predictions file: what was decided of each test text, by id."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.benchmark.figures import Outcome
from training.benchmark.records import BenchmarkExample
from training.benchmark.task import Task

LEAST_PROBABILITY = 0.01
"""What is less likely is left out."""


def write_predictions(
    path: Path,
    task: Task,
    examples: Sequence[BenchmarkExample],
    outcome: Outcome,
    probabilities: NDArray[np.float64],
    *,
    keep_texts: bool,
) -> None:
    """One JSON object a line: ``id``, ``lang``, ``labels`` (the truth), ``predicted``, ``probabilities``; ``text`` only where
    it is to be kept. ``probabilities`` is [texts, labels]."""
    with path.open("w", encoding="utf-8") as out:
        for row, example in enumerate(examples):
            line: dict[str, Any] = {
                "id": example.id,
                "lang": example.lang,
                "labels": [task.labels[i] for i in np.flatnonzero(outcome.truth[row])],
                "predicted": [task.labels[i] for i in np.flatnonzero(outcome.decided[row])],
                "probabilities": {
                    task.labels[i]: round(float(probabilities[row, i]), 4)
                    for i in np.flatnonzero(probabilities[row] >= LEAST_PROBABILITY)
                },
            }
            if keep_texts:
                line["text"] = example.text
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
