"""The ratio of two sums over the same samples, with an interval that few samples do not narrow.

Of independent samples, by the jackknife: how far the ratio moves where one sample is left out
(Tukey; MacKinnon and White, J. Econometrics 29, 305 (1985)), with Student's t of n - 1 degrees of
freedom, fewer where some samples weigh more than others (Kish's effective number). Resampling with
replacement makes the interval of a few samples too short. Of frames of trajectories, by the noise
of what the ratio leaves of numerator and denominator together, as both have a part in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

from m3compress.analysis.statistics.arms import mean_with_interval
from m3compress.contract.arrays import FloatArray


def ratio_of_sums(
    numerators: FloatArray, denominators: FloatArray
) -> tuple[float, tuple[float, float] | None]:
    """Σ numerators / Σ denominators, and its 95 % interval.

    Args:
        numerators: Of independent samples, shape (n,).
        denominators: Of the same samples, not negative, shape (n,).

    Returns:
        The ratio, and its interval; None where a single sample makes all of it.

    Raises:
        ValueError: If the numbers of samples differ, or the denominators have no positive sum.
    """
    total = float(denominators.sum())
    if numerators.shape != denominators.shape or not total > 0:
        raise ValueError(
            f"a ratio needs as many numerators as denominators, with a positive sum, got "
            f"{numerators.shape}, {denominators.shape} and {total:g}"
        )
    ratio = float(numerators.sum()) / total
    others = total - denominators
    if len(others) < 2 or others.min() <= 1e-12 * total:
        return ratio, None
    moves = (numerators - ratio * denominators) / others
    freedom = min(len(moves) - 1, total**2 / float((denominators**2).sum()))
    reach = float(special.stdtrit(freedom, 0.975) * np.sqrt((moves**2).sum()))
    return ratio, (ratio - reach, ratio + reach)


def ratio_of_means(
    numerators: Sequence[FloatArray], denominators: Sequence[FloatArray]
) -> tuple[float, float, float]:
    """Mean of a correlated scalar over that of another of the same frames, and its 95 % interval.

    Args:
        numerators: One array per replica, shape (n_frames,).
        denominators: The same of the other, with a positive mean.
    """
    scale = float(np.concatenate(list(denominators)).mean())
    ratio = float(np.concatenate(list(numerators)).mean()) / scale
    left = [mine - ratio * its for mine, its in zip(numerators, denominators, strict=True)]
    _, low, high = mean_with_interval(left)
    reach = (high - low) / (2 * scale)
    return ratio, ratio - reach, ratio + reach
