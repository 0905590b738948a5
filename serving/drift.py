"""Whether the ads of today look like the texts that the model was calibrated on. Counts only; no text is kept.

Compared with the profile in the bundle by the population stability index (Siddiqi, Credit Risk Scorecards, 2006):
``PSI = Σ (actual − expected) · ln(actual / expected)`` over the bins. By habit 0.1 is a small shift and 0.25 a large one.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.profile import BINS, OTHER, Profile, TextFacts, bin_of
from models.scores import AdScore

ADS = 5000
"""How many ads back it looks."""
NOT_ASKED = -1
A_HALF = 0.5
"""Added to every count, so that an empty bin is little and not nothing (Jeffreys' prior)."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What the last ads were like: how many there are, ``psi`` per indicator that was asked, the rest as in ``Profile``."""

    ads: int
    psi: dict[str, float]
    unknown_token_rate: float
    emoji_rate: float
    mean_characters: float
    languages: dict[str, float]


class DriftWindow:
    """The last ads that one model scored, as numbers. Thread-safe.

    Args:
        profile: what they are compared with.
        size: how many are remembered.
    """

    def __init__(self, profile: Profile, size: int = ADS) -> None:
        self.profile = profile
        self._labels = list(profile.scores)
        self._codes = list(profile.languages)
        self._added = 0
        self._bins = np.full((size, len(self._labels)), NOT_ASKED, dtype=np.int8)
        self._facts = np.zeros((size, 4), dtype=np.int64)
        self._languages = np.zeros(size, dtype=np.int16)
        self._lock = threading.Lock()

    def add(self, score: AdScore, facts: TextFacts) -> None:
        """Remember an ad, and forget the oldest."""
        asked = score.indicators | score.counter_indicators
        bins = [bin_of(asked[label].probability) if label in asked else NOT_ASKED for label in self._labels]
        code = score.language.code if score.language.code in self._codes else OTHER
        with self._lock:
            row = self._added % len(self._bins)
            self._bins[row] = bins
            self._facts[row] = facts.characters, facts.emoji, facts.tokens, facts.unknown
            self._languages[row] = self._codes.index(code)
            self._added += 1

    def drift(self) -> Drift:
        """The figures of now; rates are 0 while there are no ads."""
        with self._lock:
            ads = min(self._added, len(self._bins))
            bins, languages = self._bins[:ads].copy(), self._languages[:ads].copy()
            characters, emoji, tokens, unknown = (int(total) for total in self._facts[:ads].sum(axis=0))
        return Drift(
            ads=ads,
            psi=self._psi(bins),
            unknown_token_rate=unknown / max(1, tokens),
            emoji_rate=emoji / max(1, characters),
            mean_characters=characters / max(1, ads),
            languages={code: float(np.sum(languages == i)) / max(1, ads) for i, code in enumerate(self._codes)},
        )

    def _psi(self, bins: NDArray[np.int8]) -> dict[str, float]:
        found: Mapping[str, NDArray[np.int8]] = {label: bins[:, i] for i, label in enumerate(self._labels)}
        asked = {label: column[column != NOT_ASKED] for label, column in found.items()}
        return {
            label: population_stability_index(self.profile.scores[label], np.bincount(column, minlength=BINS))
            for label, column in asked.items()
            if len(column)
        }


def population_stability_index(expected: Sequence[int], actual: "Sequence[int] | NDArray[np.intp]") -> float:
    """PSI of counts in the same bins; 0 when the shares are equal, the same with the two exchanged."""
    before, now = np.asarray(expected) + A_HALF, np.asarray(actual) + A_HALF
    before, now = before / before.sum(), now / now.sum()
    return float(np.sum((now - before) * np.log(now / before)))
