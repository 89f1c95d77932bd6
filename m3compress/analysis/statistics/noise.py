"""The noise of an average over replicas of correlated frames, measured from the frames.

Replicas are cut into blocks; how blocks scatter about the mean of their arm gives the error of
that mean. Memory longer than a block makes blocks alike and this error too small, so that longer
blocks are tried too, up to whole replicas, and the largest error is taken (Flyvbjerg and Petersen,
J. Chem. Phys. 91, 461 (1989)).

How well the error is known is another matter. What short blocks show within replicas is known from
many of them; what replicas show beyond that is known from R - 1 differences alone, however many
frames they have: with three slow replicas an interval is 4.30 errors wide, not 1.96.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from m3compress.contract.arrays import FloatArray

#: Of changes of a mean (n_changes, n_bins), shape (n_changes,).
Size = Callable[[FloatArray], FloatArray]

#: Blocks per replica: few and long first, so that they are nearly independent.
_LEVELS = (4, 2, 1)


@dataclass(frozen=True, slots=True)
class Noise:
    """Mean of an arm, and what its blocks say of the error of this mean.

    Attributes:
        mean: Shape (n_bins,).
        residuals: Contributions of the blocks to the error, shape (n_blocks, n_bins); the sum of
            their squares is the variance of the mean.
        freedom: Degrees of freedom of that variance, for one bin or one mode of the curve; at
            least 1, not always whole.
    """

    mean: FloatArray
    residuals: FloatArray
    freedom: float

    def draw(self, rng: np.random.Generator, n_draws: int, *, known: bool = False) -> FloatArray:
        """Random errors of the mean with its size and its correlations, shape (n_draws, n_bins).

        A wild bootstrap: blocks weighted by standard normal numbers. Each draw has another size,
        as the size is known only as well as few blocks tell it (Student's t): a distance may
        depend on one mode of the curve alone, so that many bins do not tell it better than one.

        Args:
            rng: Source of randomness.
            n_draws: How many.
            known: Take the size for known: errors as they are, not as they may be.
        """
        weights = rng.standard_normal((n_draws, len(self.residuals)))
        if known:
            return np.asarray(weights @ self.residuals)
        sizes = np.sqrt(self.freedom / rng.chisquare(self.freedom, n_draws))
        return np.asarray(weights * sizes[:, None] @ self.residuals)


def _norm(changes: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(changes, axis=1))


def measure_noise(arm: Sequence[FloatArray], size: Size = _norm) -> Noise:
    """Mean and noise of an arm.

    Args:
        arm: One array per replica, shape (n_frames, n_bins).
        size: What changes of the mean amount to, to first order: errors are largest, and known as
            well, as they are by this measure. A slow mode that moves a curve as a whole may be a
            small part of what all bins scatter, and most of a distance.

    Raises:
        ValueError: If there is no replica, one has no frame, or all is a single frame, which tells
            nothing of its own noise.
    """
    if not arm or not all(len(replica) for replica in arm):
        raise ValueError("an arm needs at least one replica, and each replica a frame")
    if sum(len(replica) for replica in arm) < 2:
        raise ValueError("a single frame has no noise to be measured, expected two or more")
    short = [_block_means(replica, _LEVELS[0]) for replica in arm]
    longer = [[_block_means(replica, n_blocks) for replica in arm] for n_blocks in _LEVELS[1:]]
    levels = [np.concatenate(parts) for parts in (short, *longer)]
    residuals = [_residuals(blocks) for blocks in levels if len(blocks) > 1]
    # The mean of equal weights for replicas, as the blocks have.
    mean = levels[0].mean(axis=0)
    variances = [float((size(part) ** 2).sum()) for part in residuals]
    largest = max(variances)
    scale = math.sqrt(largest / variances[0]) if variances[0] > 0 else 1.0
    return Noise(mean, residuals[0] * scale, _freedom(short, largest, len(residuals[-1]) - 1, size))


def _freedom(short: Sequence[FloatArray], variance: float, longest: int, size: Size) -> float:
    """Degrees of freedom of the error of a mean, at least 1.

    The share of the variance that blocks show about the means of their own replicas is known as
    well as there are blocks; the rest only as the longest blocks tell. Satterthwaite's formula for
    both together would trust a rest that is small by luck: of the intervals of the mean of three
    slow replicas 92 % would cover the truth. With the cube of the share in place of the share, 94 %
    do.

    Args:
        short: Means over the blocks of every replica, shape (n_blocks, n_bins).
        variance: Of the mean.
        longest: Degrees of freedom of the longest blocks, as a rule of whole replicas.
        size: Measure of the variance.
    """
    within, known = 0.0, 0
    for blocks in short:
        if len(blocks) > 1:
            within += float((size(_residuals(blocks)) ** 2).sum()) / len(short) ** 2
            known += len(blocks) - 1
    share = min(1.0, within / variance) if variance > 0 and known else 0.0
    return 1 / (share**3 / max(1, known) + (1 - share**3) / longest)


def _block_means(replica: FloatArray, n_blocks: int) -> FloatArray:
    """Means over equal stretches of a replica, shape (n_blocks, n_bins)."""
    n_blocks = min(n_blocks, len(replica))
    begins = -(-len(replica) * np.arange(n_blocks) // n_blocks)
    lengths = np.diff(begins, append=len(replica))
    return np.asarray(np.add.reduceat(replica, begins, axis=0) / lengths[:, None])


def _residuals(blocks: FloatArray) -> FloatArray:
    n = len(blocks)
    return np.asarray((blocks - blocks.mean(axis=0)) / math.sqrt(n * (n - 1)))


def expected_band(means: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Where the mean of another such arm is expected: 95 % of cases, bin by bin.

    Student's t of R - 1 degrees of freedom, for the difference of two means of R replicas each. Of
    a curve of many bins some leave it by chance.

    Args:
        means: Of every replica, shape (R, n_bins), R ≥ 2.

    Returns:
        Lower and upper edge, shape (n_bins,) each.
    """
    n = len(means)
    mean, error = means.mean(axis=0), means.std(axis=0, ddof=1) * math.sqrt(2 / n)
    reach = float(special.stdtrit(n - 1, 0.975)) * error
    return mean - reach, mean + reach
