"""What is to be learnt: the label set, and whether a text has exactly one label or any number."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.benchmark.records import BadLine, BenchmarkExample, first_lines
from training.errors import TrainingError

log = logging.getLogger(__name__)

Wanted = Literal["auto", "single", "multi"]
MOST_ODD: dict[Wanted, float] = {"auto": 0.005, "single": 0.05, "multi": 0.0}
"""Share of lines without exactly one label that do not make it another task: few are slips of whoever made the data."""


@dataclass(frozen=True)
class Task:
    """``single``: exactly one label a text. ``labels`` are in the order of the network's outputs."""

    single: bool
    labels: tuple[str, ...]
    spans: bool
    """Whether any example says which words show a label."""

    @classmethod
    def of(cls, examples: Sequence[BenchmarkExample], wanted: Wanted = "auto") -> "Task":
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


def without_odd_lines(examples: Sequence[BenchmarkExample], wanted: Wanted) -> tuple[list[BenchmarkExample], list[BadLine]]:
    """The lines to use, and those set aside as they have no label or several where all others have one.

    One such line among thousands would otherwise make a softmax a sigmoid a label, and its accuracy another measure. At most
    0.5% of the lines are set aside, 5% where ``single`` is asked for; never all of a split. Of more, all are kept, and
    ``Task.of`` says what they mean.
    """
    kept = [example for example in examples if len(set(example.labels)) == 1]
    odd = [example for example in examples if len(set(example.labels)) != 1]
    if len(odd) > MOST_ODD[wanted] * len(examples) or {e.split for e in odd} - {e.split for e in kept}:
        return list(examples), []
    bad = [BadLine(e.line, _why_odd(e), e.split or "train") for e in odd]
    if bad:
        log.warning(
            "Taken as single-label data: all but %d of %d lines have exactly one label. These are not used: %s. With --multi "
            "they are, and every text gets any number of labels.",
            *(len(bad), len(examples), first_lines(one.number for one in bad)),
        )
    return kept, bad


def _why_odd(example: BenchmarkExample) -> str:
    return f"labels: there are {len(set(example.labels)) or 'none'}, where nearly all lines have exactly one"
