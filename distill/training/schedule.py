"""How far a training is, and the learning rate there."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: A first step of rate zero would be wasted.
_FIRST = 1e-4
#: The rate at the end, as a fraction of the peak.
_LAST = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A short linear rise of the learning rate, then half a cosine down to almost nothing.

    Attributes:
        epochs: Length.
        minutes: The same in time; whichever is further on counts. A schedule that follows the clock
            does not repeat exactly.
        learning_rate: Peak.
        warm_up: Fraction of the schedule over which the rate rises.
    """

    epochs: int
    minutes: float = math.inf
    learning_rate: float
    warm_up: float = 0.02

    def progress(self, epochs: float, seconds: float) -> float:
        """Fraction of the schedule after so many epochs and seconds of training; 1 is the end."""
        return min(1.0, max(epochs / self.epochs, seconds / (60 * self.minutes)))

    def rate(self, progress: float) -> float:
        """Learning rate at a fraction of the schedule."""
        rise = min(1.0, (progress + _FIRST) / self.warm_up)
        fall = _LAST + (1 - _LAST) * 0.5 * (1 + math.cos(math.pi * progress))
        return self.learning_rate * rise * fall
