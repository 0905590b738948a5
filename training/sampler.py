"""The order in which training texts are drawn."""

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

GROUPED_BATCHES = 25
"""Texts are sorted by length within so many batches: enough for little padding, few enough to stay random."""


class LikeLengthBatches(Sampler[int]):
    """Texts in random order, but so that each batch holds texts of like length.

    The batches themselves are shuffled, unlike those of transformers' ``LengthGroupedSampler``, which go from long to
    short within a stretch; what that gave here is in ``docs/model-selection.md``.

    Args:
        lengths: one a text, in any unit.
        batch_size: texts a batch.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(len(self.lengths)).tolist()
        stretch = self.batch_size * GROUPED_BATCHES
        batches: list[list[int]] = []
        for start in range(0, len(order), stretch):
            near = sorted(order[start : start + stretch], key=lambda index: self.lengths[index])
            batches += [near[i : i + self.batch_size] for i in range(0, len(near), self.batch_size)]
        full = [batch for batch in batches if len(batch) == self.batch_size]
        for place in torch.randperm(len(full)).tolist():
            yield from full[place]
        for batch in batches:
            if len(batch) < self.batch_size:
                yield from batch
