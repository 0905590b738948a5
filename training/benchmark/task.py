"""What is to be learnt: the label set, and whether a text has exactly one label or any number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.benchmark.records import BenchmarkExample
from training.errors import TrainingError


@dataclass(frozen=True)
class Task:
    """``single``: exactly one label a text. ``labels`` are in the order of the network's outputs."""

    single: bool
    labels: tuple[str, ...]
    spans: bool
    """Whether any example says which words show a label."""

    @classmethod
    def of(cls, examples: Sequence[BenchmarkExample], wanted: Literal["auto", "single", "multi"] = "auto") -> "Task":
        """The task of a data set.

        Raises:
            TrainingError: ``single`` is asked for and a text has no label or several; or there are fewer labels than
                a decision needs.
        """
        other = [example for example in examples if len(set(example.labels)) != 1]
        if wanted == "single" and other:
            raise TrainingError(
                f"{len(other)} texts do not have exactly one label (the first has the id {other[0].id}): this is no "
                "single-label data. Leave --single out."
            )
        single = wanted == "single" or (wanted == "auto" and not other)
        labels = tuple(sorted({label for example in examples for label in example.labels}))
        if len(labels) < (2 if single else 1):
            raise TrainingError(f"The data has {len(labels)} labels: nothing can be learnt from it.")
        return cls(single, labels, any(example.spans for example in examples))

    def matrix(self, examples: Sequence[BenchmarkExample]) -> NDArray[np.bool_]:
        """[examples, labels]"""
        column = {label: i for i, label in enumerate(self.labels)}
        truth = np.zeros((len(examples), len(self.labels)), dtype=bool)
        for row, example in enumerate(examples):
            truth[row, [column[label] for label in example.labels]] = True
        return truth
