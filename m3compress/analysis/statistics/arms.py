"""Two arms of replicas: is there more between them than their own noise?

A distance D between two averaged curves is never zero: noise alone gives the *floor*. What noise
adds to a true distance depends on the shape of the true difference: to a difference in one peak it
adds its whole area elsewhere, to one that exceeds it everywhere it adds nothing. No formula in D
and the floor F does for both: √(D² − F²) overstates a difference in one peak of twice the floor
by a third. The interval is therefore found by inversion of a test (Neyman): a true distance is
inside if a difference of this size, with noise drawn as measured, gives an observed distance like D
in 95 % of cases. Three shapes of the difference are tried, and the widest interval is taken:

    concentrated   the observed difference where it stands out of the noise
    diffuse        the observed difference with one more draw of noise on it, another in each case
    even           of the sign of the observed difference, everywhere as large beside the noise:
                   noise adds nothing to it, and may hide a part of it

An interval that holds for every shape is wider than one shape needs.

Arms may share their noise, replica by replica (common random numbers): what both have in common is
then not in their difference, and the noise is that of the difference. Where dynamics forgets that
its noise is shared, as that of a liquid does, this is the noise of two independent arms again.

A D that is smaller than noise alone gives nearly always is luck, not knowledge: the upper end is
that of a D which one run in six would fall below (power-constrained limits, arXiv:1105.3166).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special
from scipy.ndimage import uniform_filter1d

from m3compress.analysis.statistics.noise import Noise, Size, measure_noise
from m3compress.contract.arrays import FloatArray

#: Distances of curves (..., n_bins) from the reference curve (n_bins,), shape (...).
Distance = Callable[[FloatArray, FloatArray], FloatArray]

_N_DRAWS = 400
_N_SIZES = 16
_STEP = 1e-3  # of the noise: to first order
_SMOOTHED = 7  # bins over which a difference is told from noise
_QUANTILES = (0.025, 0.5, 0.975)
_HIDDEN = 0.96  # one-sided: low ends are those of the other shapes, and hold for even ones as well
_LUCK = 0.16  # of runs without any difference, one standard deviation below the median


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two arms say of each other.

    Attributes:
        value: Distance of the true means, as far as can be told.
        interval: 95 % confidence interval of it.
        floor: Root mean square of the observed distances that noise of the measured size gives
            where there is no difference.
        power: The smallest true distance that this much sampling tells from none in 39 of 40 cases.
        observed: The distance of the two averaged curves, noise included.
    """

    value: float
    interval: tuple[float, float]
    floor: float
    power: float
    observed: float


@dataclass(frozen=True, slots=True)
class _Response:
    """Observed distances that true ones lead to.

    Attributes:
        true: Ascending, shape (n_sizes,).
        seen: Lower end, median and upper end of the observed, shape (3, n_sizes).
    """

    true: FloatArray
    seen: FloatArray

    def invert(self, observed: float) -> FloatArray:
        """True distances whose lower end, median and upper end are as observed, shape (3,)."""
        return np.array(
            [
                np.interp(observed, row, self.true, left=0.0, right=self.true[-1])
                for row in self.seen
            ]
        )


def compare_curves(
    candidate: Sequence[FloatArray],
    reference: Sequence[FloatArray],
    distance: Distance,
    seed: int = 0,
) -> Comparison:
    """Compare the mean curves of two independent arms.

    Args:
        candidate: One array per replica, shape (n_frames, n_bins).
        reference: The same for the other arm.
        distance: Distance of curves from a reference curve.
        seed: Of the random draws.
    """
    target = measure_noise(reference).mean
    arms = [measure_noise(arm, _size(distance, target)) for arm in (candidate, reference)]
    return _compare(arms[0].mean, target, arms, distance, seed)


def compare_paired_curves(
    candidate: Sequence[FloatArray],
    reference: Sequence[FloatArray],
    distance: Distance,
    seed: int = 0,
) -> Comparison:
    """Compare the mean curves of two arms whose replicas were driven by the same noise.

    Args:
        candidate: One array per replica, shape (n_frames, n_bins).
        reference: The partner of each, of the same shape.
        distance: Distance of curves from a reference curve.
        seed: Of the random draws.
    """
    target = measure_noise(reference).mean
    between = measure_noise(_differences(candidate, reference), _size(distance, target))
    return _compare(target + between.mean, target, (between,), distance, seed)


def _size(distance: Distance, target: FloatArray) -> Size:
    """How far changes of a curve (n_changes, n_bins) move it, in the unit of the distance."""
    return lambda changes: distance(target + _STEP * changes, target) / _STEP


def _differences(
    candidate: Sequence[FloatArray], reference: Sequence[FloatArray]
) -> list[FloatArray]:
    """Frame by frame: what both have in common, noise and the way from the start, is not in it."""
    return [ours - theirs for ours, theirs in zip(candidate, reference, strict=True)]


def _compare(
    mean: FloatArray, target: FloatArray, noises: Sequence[Noise], distance: Distance, seed: int
) -> Comparison:
    """Compare two mean curves, shape (n_bins,), whose difference has the sum of some noises."""
    rng = np.random.default_rng(seed)
    noise = np.sum([one.draw(rng, _N_DRAWS) for one in noises], axis=0)
    # Of Student's t with few degrees of freedom no variance is to be had.
    plain = np.sum([one.draw(rng, _N_DRAWS, known=True) for one in noises], axis=0)
    alone = distance(target + noise, target)
    floor = float(np.sqrt((distance(target + plain, target) ** 2).mean()))
    observed = float(distance(mean, target))
    if floor == 0:
        return Comparison(observed, (observed, observed), 0.0, 0.0, observed)

    def response(shapes: FloatArray, reach: float) -> _Response:
        return _respond(shapes, target, noise, distance, reach)

    freedom = min(one.freedom for one in noises)
    far = 2 * floor * float(special.stdtrit(freedom, _QUANTILES[2]))
    least = max(observed, float(np.quantile(alone, _LUCK)))
    found = [
        response(shapes, observed + far)
        for shapes in (_concentrated(mean - target, plain)[None], mean - target + plain)
    ]
    value = float(np.mean([one.invert(observed)[1] for one in found]))
    low = min(float(one.invert(observed)[2]) for one in found)
    hidden = float(special.stdtrit(freedom, _HIDDEN)) * _hidden(mean, target, plain, distance)
    # A distance that saturates has no larger ones.
    even = min(least + hidden, max(float(one.true[-1]) for one in found))
    high = max(even, *(float(one.invert(least)[0]) for one in found))
    seen = float(np.quantile(alone, _QUANTILES[2]))
    return Comparison(
        value=value,
        interval=(min(low, value), max(high, value)),
        floor=floor,
        # The true distance that is seen to be more than noise in 97.5 % of cases.
        power=float(response(plain, 2 * far).invert(seen)[0]),
        observed=observed,
    )


def _concentrated(difference: FloatArray, noise: FloatArray) -> FloatArray:
    """The difference where it stands out of the noise, shrunk towards zero elsewhere (Wiener)."""
    variance = (noise**2).mean(axis=0)
    signal = uniform_filter1d(difference**2 - variance, _SMOOTHED, mode="nearest")
    signal = np.maximum(0.0, signal)
    total = signal + variance
    return np.asarray(
        difference * np.divide(signal, total, out=np.ones_like(total), where=total > 0)
    )


def _hidden(mean: FloatArray, target: FloatArray, noise: FloatArray, distance: Distance) -> float:
    """Standard deviation of the distance of an even difference, to first order in the noise."""
    signs = np.sign(uniform_filter1d(mean - target, _SMOOTHED, mode="nearest"))
    there = target + signs * noise.std(axis=0)
    changes = distance(there + _STEP * noise, target) - distance(there, target)
    return float(changes.std()) / _STEP


def _respond(
    shapes: FloatArray, target: FloatArray, noise: FloatArray, distance: Distance, reach: float
) -> _Response:
    """Observed distances for true differences of given shapes and true distances up to ``reach``.

    Args:
        shapes: One shape for all draws (1, n_bins), or one for each (n_draws, n_bins).
        target: Mean of the reference, shape (n_bins,).
        noise: Draws of the noise, shape (n_draws, n_bins).
        distance: Distance of curves from a reference curve.
        reach: Largest true distance.
    """
    sizes = distance(target + shapes, target)
    shapes = shapes / np.where(sizes > 0, sizes, np.inf)[:, None]
    noisy = target + noise
    true, seen = [], []
    for size in reach * np.linspace(0.0, 1.0, _N_SIZES) ** 1.5:
        # Distances need not grow in proportion to the size: of a few shapes, they are measured.
        true.append(distance(target + size * shapes[:25], target))
        seen.append(distance(noisy + size * shapes, target))
    return _Response(
        np.maximum.accumulate(np.median(true, axis=1)),
        np.maximum.accumulate(np.quantile(seen, _QUANTILES, axis=1), axis=1),
    )


def compare_pairs(
    candidate: Sequence[FloatArray], reference: Sequence[FloatArray], scale: float = 1.0
) -> Comparison:
    """Compare the means of a scalar in two arms whose replicas were driven by the same noise.

    Args:
        candidate: One array per replica, shape (n_frames,).
        reference: The partner of each, of the same length.
        scale: What to express the difference in.
    """
    return _judged(*mean_and_error(_differences(candidate, reference)), scale)


def _judged(difference: float, error: float, freedom: float, scale: float) -> Comparison:
    difference, error = abs(difference) / scale, error / scale
    reach = float(special.stdtrit(freedom, 0.975)) * error
    return Comparison(
        value=difference,
        interval=(max(0.0, difference - reach), difference + reach),
        floor=error,
        power=2 * reach,
        observed=difference,
    )


def mean_with_interval(arm: Sequence[FloatArray]) -> tuple[float, float, float]:
    """Mean of a correlated scalar over replicas, and its 95 % interval.

    Args:
        arm: One array per replica, shape (n_frames,).
    """
    mean, error, freedom = mean_and_error(arm)
    reach = float(special.stdtrit(freedom, 0.975)) * error
    return mean, mean - reach, mean + reach


def mean_and_error(arm: Sequence[FloatArray]) -> tuple[float, float, float]:
    """Mean of a correlated scalar over replicas, its standard error, and degrees of freedom.

    Args:
        arm: One array per replica, shape (n_frames,).
    """
    found: Noise = measure_noise([np.asarray(replica)[:, None] for replica in arm])
    return float(found.mean[0]), float(np.sqrt((found.residuals**2).sum())), found.freedom
