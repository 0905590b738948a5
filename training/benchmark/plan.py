"""How to train on so much data: method, learning rate, length. ``docs/benchmarks.md`` says what of it was measured."""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

from training.benchmark.settings import BenchmarkSettings

FULL_FROM = 5_000
"""Training texts from which the whole encoder is trained."""
ENCODER_LR = {"lora": 5e-4, "full": 1e-4}
MOST_EPOCHS = 20


@dataclass(frozen=True)
class Plan:
    """What is done to train once."""

    method: Literal["lora", "full"]
    encoder_lr: float
    epochs: float
    steps_per_epoch: int

    @property
    def steps(self) -> int:
        return max(1, round(self.epochs * self.steps_per_epoch))

    @classmethod
    def of(cls, texts: int, settings: BenchmarkSettings) -> "Plan":
        """The plan for so many training texts; what the settings name is left as it is.

        Epochs fall with the square root of the size: 19 for 1,000 texts, 6 for 10,000, 2 for 100,000.
        """
        method = settings.method if settings.method != "auto" else ("full" if texts >= FULL_FROM else "lora")
        epochs = settings.epochs or min(max(round(600 / sqrt(texts)), 1), MOST_EPOCHS)
        return cls(method, settings.encoder_lr or ENCODER_LR[method], epochs, -(-texts // settings.batch_size))

    def within(self, minutes: float | None, seconds_per_epoch: float) -> "Plan":
        """The same with no more epochs than fit; at least a tenth of one."""
        if minutes is None or seconds_per_epoch <= 0:
            return self
        fitting = max(minutes * 60 / seconds_per_epoch, 0.1)
        return self if fitting >= self.epochs else Plan(self.method, self.encoder_lr, fitting, self.steps_per_epoch)
