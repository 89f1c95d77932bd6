"""The learning rate in the course of a training."""

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

    It counts steps, not time, so that it repeats exactly.

    Attributes:
        steps: Length in steps of the optimiser.
        learning_rate: Peak.
        warm_up: Fraction of the schedule over which the rate rises.
    """

    steps: int
    learning_rate: float
    warm_up: float = 0.02

    def rate(self, steps: int) -> float:
        """Learning rate of the step that follows so many."""
        progress = min(1.0, steps / self.steps)
        rise = min(1.0, (progress + _FIRST) / self.warm_up)
        fall = _LAST + (1 - _LAST) * 0.5 * (1 + math.cos(math.pi * progress))
        return self.learning_rate * rise * fall


def steps_of(epochs: int, n_frames: int, batch_size: int) -> int:
    """Steps of so many passes over all frames, with at least so many in a batch."""
    return epochs * max(1, n_frames // batch_size)
