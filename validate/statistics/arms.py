"""Two arms of replicas: is there more between them than their own noise?

A distance between two averaged curves is never zero: noise alone gives the *floor*. The floor is
measured, not assumed. Curves are averaged over blocks of frames; how blocks and replicas scatter
about the mean of their arm gives random curves with the size and the correlations of the noise of
that mean (a wild bootstrap: blocks weighted by independent standard normal numbers). Then

    value  = √max(0, D² − F²)        observed distance without what noise adds
    Dₖ     = distance with one more draw of noise; it carries the noise twice
    Tₖ     = √max(0, Dₖ² − 2F²)      95 % of these are the confidence interval

with F the root mean square of the distances that noise alone gives. Where replicas scatter more
than their blocks say (slow motions), the noise is scaled up to what replicas show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[np.float64]
#: Distances of curves (..., n_bins) from the reference curve (n_bins,), shape (...).
Distance = Callable[[Array, Array], Array]

_N_DRAWS = 400
_BLOCKS = 4  # per replica: few and long, so that they are nearly independent


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two arms say of each other.

    Attributes:
        value: Distance of the true means, as far as can be told.
        interval: 95 % confidence interval of it.
        floor: Root mean square of the distances that noise alone gives.
        power: The smallest true distance that this much sampling would have told from none.
        observed: The distance of the two averaged curves, noise included.
    """

    value: float
    interval: tuple[float, float]
    floor: float
    power: float
    observed: float

    def needs(self, margin: float | None) -> str | None:
        """How much more sampling would decide between below and above a margin."""
        if margin is None or not self.interval[0] <= margin < self.interval[1]:
            return None
        gap = abs(margin - self.value)
        side = (
            self.interval[1] - self.value if self.value < margin else self.value - self.interval[0]
        )
        if gap <= 0:
            return "the drift is at the limit itself: no amount of sampling decides"
        factor = max(1.2, (side / gap) ** 2)
        return f"about {factor:.1f} times as many ps or replicas"


def compare_curves(
    candidate: Sequence[Array], reference: Sequence[Array], distance: Distance, seed: int = 0
) -> Comparison:
    """Compare the mean curves of two arms.

    Args:
        candidate: One array per replica, shape (n_frames, n_bins).
        reference: The same for the other arm.
        distance: Distance of curves from a reference curve.
        seed: Of the random draws.
    """
    rng = np.random.default_rng(seed)
    mean, noise = _mean_and_noise(candidate, rng)
    target, target_noise = _mean_and_noise(reference, rng)
    noise = noise + target_noise
    alone = distance(target + noise, target)
    floor = _rms(alone)
    observed = float(distance(mean, target))
    carried = distance(mean + noise, target)
    draws = _without(carried, 2 * floor**2)
    low, high = (float(q) for q in np.quantile(draws, (0.025, 0.975)))
    value = float(_without(np.array([observed]), floor**2)[0])
    # The same for two draws of noise and nothing else: what no drift at all may look like.
    nothing = _without(distance(target + noise + rng.permutation(noise), target), 2 * floor**2)
    return Comparison(
        value=value,
        interval=(min(low, value), max(high, value)),
        floor=floor,
        power=float(np.quantile(nothing, 0.975)),
        observed=observed,
    )


def compare_means(
    candidate: Sequence[Array], reference: Sequence[Array], scale: float = 1.0
) -> Comparison:
    """Compare the means of a scalar in two arms: |difference| / scale, with a t interval.

    Args:
        candidate: One array per replica, shape (n_frames,).
        reference: The same for the other arm.
        scale: What to express the difference in.
    """
    sides = [_mean_and_error(arm) for arm in (candidate, reference)]
    difference = abs(sides[0][0] - sides[1][0]) / scale
    error = math.hypot(sides[0][1], sides[1][1]) / scale
    reach = float(stats.t.ppf(0.975, sides[0][2] + sides[1][2])) * error
    return Comparison(
        value=difference,
        interval=(max(0.0, difference - reach), difference + reach),
        floor=error,
        power=2 * reach,
        observed=difference,
    )


def mean_with_interval(arm: Sequence[Array]) -> tuple[float, float, float]:
    """Mean of a correlated scalar over replicas, and its 95 % interval.

    Args:
        arm: One array per replica, shape (n_frames,).
    """
    mean, error, freedom = _mean_and_error(arm)
    reach = float(stats.t.ppf(0.975, freedom)) * error
    return mean, mean - reach, mean + reach


def _mean_and_error(arm: Sequence[Array]) -> tuple[float, float, int]:
    """Mean, its standard error, and degrees of freedom."""
    blocks, owner = _blocks([np.asarray(replica)[:, None] for replica in arm])
    error = float(np.sqrt((_residuals(blocks, owner) ** 2).sum()))
    return float(blocks.mean()), error, len(blocks) - 1


def _mean_and_noise(arm: Sequence[Array], rng: np.random.Generator) -> tuple[Array, Array]:
    """Mean curve (n_bins,), and draws of the noise of this mean (n_draws, n_bins)."""
    blocks, owner = _blocks(arm)
    weights = rng.standard_normal((_N_DRAWS, len(blocks)))
    return np.asarray(blocks.mean(axis=0)), np.asarray(weights @ _residuals(blocks, owner))


def _blocks(arm: Sequence[Array]) -> tuple[Array, npt.NDArray[np.int64]]:
    """Means over equal stretches of every replica, and which replica each is of."""
    found, owner = [], []
    for index, replica in enumerate(arm):
        n_blocks = max(1, min(_BLOCKS, len(replica)))
        found += [part.mean(axis=0) for part in np.array_split(replica, n_blocks)]
        owner += [index] * n_blocks
    return np.array(found), np.array(owner)


def _residuals(blocks: Array, owner: npt.NDArray[np.int64]) -> Array:
    """Contributions of the blocks to the error of the mean: Σ of squares is its variance."""
    n = len(blocks)
    if n < 2:
        return np.zeros_like(blocks)
    residuals = (blocks - blocks.mean(axis=0)) / math.sqrt(n * (n - 1))
    return np.asarray(residuals * _inflation(residuals, owner))


def _inflation(residuals: Array, owner: npt.NDArray[np.int64]) -> float:
    """How much more replicas scatter than independent blocks would, at least 1."""
    n_replicas = int(owner.max()) + 1
    if n_replicas < 3:
        return 1.0
    sums = np.array([residuals[owner == replica].sum(axis=0) for replica in range(n_replicas)])
    by_replicas = float((sums**2).sum()) * n_replicas / (n_replicas - 1)
    by_blocks = float((residuals**2).sum())
    return math.sqrt(max(1.0, by_replicas / by_blocks)) if by_blocks > 0 else 1.0


def _rms(values: Array) -> float:
    return float(np.sqrt((values**2).mean()))


def _without(distances: Array, squared: float) -> Array:
    return np.asarray(np.sqrt(np.maximum(0.0, distances**2 - squared)))
