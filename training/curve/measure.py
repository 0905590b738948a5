"""Train on growing shares of the data, and judge the same held-out texts each time."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from models.example import LabelledExample
from training.errors import TrainingError
from training.out_of_fold import Fold, scenario_folds, scenario_groups

log = logging.getLogger(__name__)

Array = NDArray[np.float64]
HELD_OUT = 4
"""One scenario in so many is judged, never learnt from."""

Train = Callable[[list[int], list[int], int], Array]
"""Places that are learnt from, places that are judged, a seed → logits [judged, labels]."""


@dataclass(frozen=True)
class Curve:
    """``logits`` [sizes, seeds, judged, labels]; ``sizes`` [sizes] counts the texts whose number is varied."""

    judged: list[LabelledExample]
    sizes: Array
    logits: Array
    varied: str
    """A language, or "" when texts of every language grow alike."""
    learnable: list[LabelledExample]
    """What the largest size learns from, of the texts that are varied."""


def measure_curve(
    examples: Sequence[LabelledExample],
    fractions: Sequence[float],
    seeds: int,
    train: Train,
    *,
    seed: int,
    language: str = "",
) -> Curve:
    """Train once for each fraction and seed.

    Args:
        examples: all of them; a quarter of the scenarios is held out.
        fractions: of what is not held out, growing, the last one 1.
        seeds: how often each fraction is drawn and trained.
        train: trains and judges.
        seed: of the split; the drawings count on from it.
        language: vary only the texts of this language and learn from all others each time.

    Raises:
        TrainingError: there are too few scenarios, or no text of that language.
    """
    fold = scenario_folds(examples, HELD_OUT, seed)[0]
    if language and not any(examples[place].lang == language for place in fold.learnt):
        raise TrainingError(f"There is no text in the language {language!r}.")
    sizes = np.zeros(len(fractions))
    found: list[list[Array]] = []
    for number, fraction in enumerate(fractions):
        of_fraction = []
        for draw in range(seeds):
            places = growing_part(examples, fold, fraction, seed + draw, language)
            sizes[number] += sum(not language or examples[place].lang == language for place in places) / seeds
            log.info("Training %d of %d, on %d texts.", number * seeds + draw + 1, len(fractions) * seeds, len(places))
            of_fraction.append(train(places, fold.judged, seed + draw))
        found.append(of_fraction)
    judged = [examples[place] for place in fold.judged if not language or examples[place].lang == language]
    rows = [row for row, place in enumerate(fold.judged) if not language or examples[place].lang == language]
    learnable = [examples[place] for place in fold.learnt if not language or examples[place].lang == language]
    return Curve(judged, sizes, np.array(found)[:, :, rows], language, learnable)


def growing_part(examples: Sequence[LabelledExample], fold: Fold, fraction: float, seed: int, language: str = "") -> list[int]:
    """A share of what may be learnt, whole scenarios; of one seed, a larger share holds every smaller one."""
    groups = scenario_groups(examples)
    varied = [place for place in fold.learnt if not language or examples[place].lang == language]
    names = sorted({groups[place] for place in varied})
    Random(seed).shuffle(names)
    chosen = set(names[: max(1, round(fraction * len(names)))])
    kept = {place for place in varied if groups[place] in chosen}
    return [place for place in fold.learnt if place in kept or (language and examples[place].lang != language)]
