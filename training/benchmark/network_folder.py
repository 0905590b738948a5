"""A benchmark's network on disk: the weights as in a bundle (``models.weights``), and how to read them.

It is no bundle: there is no taxonomy, calibration or card, and nothing serves it.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.base import sha256_of
from models.bundle import BaseReference, verified_base
from models.network import SignaalModel
from models.weights import load_weights, save_weights
from models.windows import WindowMaker
from training.benchmark.decisions import Decisions
from training.benchmark.fine_tuning import logits_of
from training.benchmark.records import BenchmarkExample
from training.benchmark.task import Task
from training.benchmark.tokens import tokenise, window_maker
from training.errors import TrainingError
from training.loop import device

DESCRIPTION = "benchmark.json"


def save_network(
    folder: Path, model: SignaalModel, base: str, base_folder: Path, task: Task, decisions: Decisions, max_tokens: int
) -> None:
    """Write a network and what ``SavedNetwork.open`` needs."""
    save_weights(model, folder)
    layers = model.encoder.config.num_hidden_layers
    reference = BaseReference(name=base, tokenizer_sha256=sha256_of(base_folder / "tokenizer.json"), layers=layers)
    thresholds = None if decisions.thresholds is None else decisions.thresholds.tolist()
    how = {
        "base": reference.model_dump(),
        "single": task.single,
        "labels": task.labels,
        "thresholds": thresholds,
        "max_tokens": max_tokens,
    }
    (folder / DESCRIPTION).write_text(json.dumps(how, indent=1, ensure_ascii=False), encoding="utf-8")


class SavedNetwork:
    """A benchmark's network, read from its folder."""

    def __init__(self, model: SignaalModel, maker: WindowMaker, task: Task, decisions: Decisions) -> None:
        self.model = model
        self.task = task
        self._maker = maker
        self._decisions = decisions

    @classmethod
    def open(cls, folder: Path, cache_dir: Path) -> "SavedNetwork":
        """Raises ``TrainingError`` when the folder holds no network of a benchmark."""
        try:
            how = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise TrainingError(f"{folder} holds no network of a benchmark: {DESCRIPTION} cannot be read.") from error
        base = BaseReference.model_validate(how["base"])
        model = load_weights(folder, base, cache_dir).to(device())
        decisions = Decisions(None if how["thresholds"] is None else np.array(how["thresholds"]))
        task = Task(how["single"], tuple(how["labels"]), spans=False)
        return cls(model, window_maker(verified_base(base, cache_dir), how["max_tokens"]), task, decisions)

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """[texts, labels]; not calibrated."""
        return self._decisions.probabilities(self._logits(texts))

    def labels(self, texts: Sequence[str]) -> list[list[str]]:
        """The labels of each text."""
        return [[self.task.labels[i] for i in np.flatnonzero(row)] for row in self._decisions.decide(self._logits(texts))]

    def _logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        examples = [BenchmarkExample(text=text, labels=[]) for text in texts]
        return logits_of(self.model, tokenise(examples, self.task, self._maker, "texts"))
