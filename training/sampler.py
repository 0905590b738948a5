"""The order in which training texts are drawn."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import Sampler

GROUPED_BATCHES = 25
"""Texts are sorted by length within so many batches: enough for little padding, few enough to stay random."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One drawing of a training text. What chance makes of it follows from these numbers and the seed alone, so that a run
    that goes on after a kill draws what it would have drawn."""

    index: int
    epoch: int = 0
    copy: int = 0
    """0 the first time in an epoch, 1 the second, …"""


class LikeLengthBatches(Sampler[Draw]):
    """Texts in random order, but so that each batch holds texts of like length, and texts of one scenario together: what
    two of them differ in is then seen side by side. The order is the same for the same seed and ``epoch``.

    The batches themselves are shuffled, unlike those of transformers' ``LengthGroupedSampler``, which go from long to
    short within a stretch; what that gave here is in ``docs/model-selection.md``.

    Args:
        length_of: how long a text is when it is drawn so, in any unit.
        scenarios: one a text; an empty one is of no scenario.
        batch_size: texts a batch.
        draws: how often an epoch draws each text; once each when left out.
        seed: of the order.
    """

    def __init__(
        self,
        length_of: Callable[[Draw], int],
        scenarios: Sequence[str],
        batch_size: int,
        *,
        draws: Sequence[int] = (),
        seed: int = 0,
    ) -> None:
        self._length_of = length_of
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        """Set it before the texts of an epoch are drawn."""
        of_scenario: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
        for index, (scenario, times) in enumerate(zip(scenarios, draws or [1] * len(scenarios), strict=True)):
            for copy in range(times):
                of_scenario[scenario or f"#{index}", copy].append((index, copy))
        self._groups = list(of_scenario.values())
        self._length = sum(map(len, self._groups))

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Draw]:
        chance = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        batches: list[list[tuple[int, int]]] = []
        for stretch in self._stretches(chance):
            near = [draw for group in sorted(stretch, key=self._mean_length) for draw in group]
            batches += [near[i : i + self.batch_size] for i in range(0, len(near), self.batch_size)]
        full = [batch for batch in batches if len(batch) == self.batch_size]
        last = [batch for batch in batches if len(batch) < self.batch_size]
        for batch in [full[place] for place in torch.randperm(len(full), generator=chance).tolist()] + last:
            yield from (Draw(index, self.epoch, copy) for index, copy in batch)

    def _stretches(self, chance: torch.Generator) -> Iterator[list[list[tuple[int, int]]]]:
        """The groups in random order, cut where there are texts enough."""
        stretch: list[list[tuple[int, int]]] = []
        for place in torch.randperm(len(self._groups), generator=chance).tolist():
            stretch.append(self._groups[place])
            if sum(map(len, stretch)) >= self.batch_size * GROUPED_BATCHES:
                yield stretch
                stretch = []
        yield stretch

    def _mean_length(self, group: list[tuple[int, int]]) -> float:
        return sum(self._length_of(Draw(index, self.epoch, copy)) for index, copy in group) / len(group)
