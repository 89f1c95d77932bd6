"""How far a correlated scalar is from its own mean, with an interval.

The mean is that of the same frames, which lies amid them: deviations from it are too small, the
more so the fewer independent frames there are. Their number N follows from the error e of the mean
and the variance v about it, N - 1 = v / e² (with frames that know nothing of each other, the number
of frames; with replicas that never move, that of replicas), and the deviation is √(1 + e²/v) times
as large.

Of two intervals the wider end counts: what the deviations of the frames show of their own noise, as
of any mean, and that of a variance of N - 1 degrees of freedom (χ²), which knows that three numbers
may lie close together by luck. Both are intervals of the logarithm, as no deviation is negative.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy import special

from m3compress.analysis.statistics.arms import mean_and_error, mean_with_interval
from m3compress.contract.arrays import FloatArray

#: Logarithm of a factor that says that nothing is known.
_LARGEST: Final = 50.0


def mean_deviation(arm: Sequence[FloatArray]) -> tuple[float, float, float]:
    """Mean absolute deviation from the mean over replicas, and its 95 % interval.

    Args:
        arm: One array per replica, shape (n_frames,).

    Raises:
        ValueError: If there is a single frame.
    """
    values = np.concatenate(list(arm))
    mean, variance = float(values.mean()), float(values.var())
    error = mean_and_error(arm)[1]
    away, low, high = mean_with_interval([np.abs(replica - mean) for replica in arm])
    if not (error > 0 and away > 0):
        return away, low, high
    freedom = variance / error**2
    found, reach = away * math.sqrt(1 + 1 / freedom), (high - low) / (2 * away)
    below = max(reach, 0.5 * math.log(special.chdtri(freedom, 0.025) / freedom))
    above = max(reach, 0.5 * math.log(freedom / special.chdtri(freedom, 0.975)))
    return found, found * math.exp(-below), found * math.exp(min(above, _LARGEST))
