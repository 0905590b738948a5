"""A power law through a learning curve: ``error(n) = floor + scale · (n / most)^−exponent``.

Errors of classifiers fall so over a wide range of sizes (Hestness et al. 2017, "Deep Learning Scaling is Predictable,
Empirically"; for labelled texts Figueroa et al. 2012, "Predicting sample size required for classification performance").
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
EXPONENTS = np.linspace(0.1, 1.5, 29)
"""Tried one by one; for a given exponent the rest is linear and has an exact answer. Published exponents lie within."""


@dataclass(frozen=True)
class PowerLaws:
    """Fits of many curves over the same sizes; ``floor``, ``scale``, ``exponent`` are [curves]."""

    most: float
    floor: Array
    scale: Array
    exponent: Array

    def at(self, size: float) -> Array:
        """Error of each curve at a size, [curves]."""
        return self.floor + self.scale * (size / self.most) ** -self.exponent


def fit_power_laws(sizes: Array, errors: Array) -> PowerLaws:
    """Least squares with no negative floor and no negative scale: an error neither rises with the data nor falls below 0.

    Args:
        sizes: [sizes], growing.
        errors: [curves, sizes], 0–1.
    """
    most = float(sizes[-1])
    best = np.full(len(errors), np.inf)
    found = np.zeros((3, len(errors)))
    for exponent in EXPONENTS:
        falling = (sizes / most) ** -exponent
        spread = falling - falling.mean()
        scale = np.clip((errors @ spread) / (spread @ spread), 0.0, None)
        floor = errors.mean(axis=1) - scale * falling.mean()
        through_zero = floor < 0
        scale = np.where(through_zero, (errors @ falling) / (falling @ falling), scale)
        floor = np.where(through_zero, 0.0, floor)
        misfit = ((floor[:, None] + scale[:, None] * falling - errors) ** 2).sum(axis=1)
        better = misfit < best
        best = np.where(better, misfit, best)
        found = np.where(better, np.stack([floor, scale, np.full(len(errors), exponent)]), found)
    return PowerLaws(most, *found)
