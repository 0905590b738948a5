"""The order in which training texts are drawn."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

GROUPED_BATCHES = 25
"""Texts are sorted by length within so many batches: enough for little padding, few enough to stay random."""


class LikeLengthBatches(Sampler[int]):
    """Texts in random order, but so that each batch holds texts of like length, and texts of one scenario together: what
    two of them differ in is then seen side by side.

    The batches themselves are shuffled, unlike those of transformers' ``LengthGroupedSampler``, which go from long to
    short within a stretch; what that gave here is in ``docs/model-selection.md``.

    Args:
        lengths: one a text, in any unit.
        scenarios: one a text; an empty one is of no scenario.
        batch_size: texts a batch.
    """

    def __init__(self, lengths: Sequence[int], scenarios: Sequence[str], batch_size: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        of_scenario: dict[str, list[int]] = defaultdict(list)
        for index, scenario in enumerate(scenarios):
            of_scenario[scenario or f"#{index}"].append(index)
        self._groups = list(of_scenario.values())

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        batches: list[list[int]] = []
        for stretch in self._stretches():
            near = [index for group in sorted(stretch, key=self._mean_length) for index in group]
            batches += [near[i : i + self.batch_size] for i in range(0, len(near), self.batch_size)]
        full = [batch for batch in batches if len(batch) == self.batch_size]
        for place in torch.randperm(len(full)).tolist():
            yield from full[place]
        for batch in batches:
            if len(batch) < self.batch_size:
                yield from batch

    def _stretches(self) -> Iterator[list[list[int]]]:
        """The groups in random order, cut where there are texts enough."""
        stretch: list[list[int]] = []
        for place in torch.randperm(len(self._groups)).tolist():
            stretch.append(self._groups[place])
            if sum(map(len, stretch)) >= self.batch_size * GROUPED_BATCHES:
                yield stretch
                stretch = []
        yield stretch

    def _mean_length(self, group: list[int]) -> float:
        return sum(self.lengths[index] for index in group) / len(group)
