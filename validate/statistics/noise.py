"""The noise of an average over replicas of correlated frames, measured from the frames.

Replicas are cut into blocks; how blocks scatter about the mean of their arm gives the error of
that mean. Memory longer than a block makes blocks alike and this error too small, so that longer
blocks are tried too, up to whole replicas, and the largest error is taken (Flyvbjerg and Petersen,
J. Chem. Phys. 91, 461 (1989)). Memory longer than a replica shows only between replicas: two of
them say little about it, and four or more are needed to trust what they say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Blocks per replica: few and long first, so that they are nearly independent.
_LEVELS = (4, 2, 1)


@dataclass(frozen=True, slots=True)
class Noise:
    """Mean of an arm, and what its blocks say of the error of this mean.

    Attributes:
        mean: Shape (n_bins,).
        residuals: Contributions of the blocks to the error, shape (n_blocks, n_bins); the sum of
            their squares is the variance of the mean.
    """

    mean: Array
    residuals: Array

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the error of one bin, at least 1."""
        return max(1, len(self.residuals) - 1)

    def draw(self, rng: np.random.Generator, n_draws: int) -> Array:
        """Random errors of the mean with its size and its correlations, shape (n_draws, n_bins).

        A wild bootstrap: blocks weighted by standard normal numbers. Each draw has another size,
        as the size is known only as well as few blocks tell it (Student's t): a distance may
        depend on one mode of the curve alone, so that many bins do not tell it better than one.
        """
        weights = rng.standard_normal((n_draws, len(self.residuals)))
        sizes = np.sqrt(self.freedom / rng.chisquare(self.freedom, n_draws))
        return np.asarray(weights * sizes[:, None] @ self.residuals)


def measure_noise(arm: Sequence[Array]) -> Noise:
    """Mean and noise of an arm.

    Args:
        arm: One array per replica, shape (n_frames, n_bins).

    Raises:
        ValueError: If there is no replica or one has no frame.
    """
    if not arm or not all(len(replica) for replica in arm):
        raise ValueError("an arm needs at least one replica, and each replica a frame")
    levels = [_block_means(arm, n_blocks) for n_blocks in _LEVELS]
    residuals = [_residuals(blocks) for blocks in levels if len(blocks) > 1]
    # The mean of equal weights for replicas, as the blocks have.
    mean = levels[0].mean(axis=0)
    if not residuals:
        return Noise(mean, np.zeros((1, levels[0].shape[1])))
    variances = [float((part**2).sum()) for part in residuals]
    scale = math.sqrt(max(variances) / variances[0]) if variances[0] > 0 else 1.0
    return Noise(mean, residuals[0] * scale)


def _block_means(arm: Sequence[Array], n_blocks: int) -> Array:
    """Means over equal stretches of every replica."""
    return np.array(
        [
            part.mean(axis=0)
            for replica in arm
            for part in np.array_split(replica, min(n_blocks, len(replica)))
        ]
    )


def _residuals(blocks: Array) -> Array:
    n = len(blocks)
    return np.asarray((blocks - blocks.mean(axis=0)) / math.sqrt(n * (n - 1)))
