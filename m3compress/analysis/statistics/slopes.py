"""The slope of a conserved quantity, with an honest interval.

What the residuals of a line are worth depends on their memory. They are taken for an autoregressive
process of first order (Santer et al., J. Geophys. Res. 105, 7337 (2000)) whose coefficient is freed
of its bias in short series (Marriott and Pope, Biometrika 41, 390 (1954)); they are worth n_e
independent points, and n_e - 2 of them are degrees of freedom. Means over two, four … points are
judged in the same way (Flyvbjerg and Petersen, J. Chem. Phys. 91, 461 (1989)), as fast vibrations
may hide what is slow from neighbouring points: the widest interval is taken of those whose error is
larger by more than chance.

Where n_e is too small to say anything, the interval is that of a random walk of the same steps,
whose slope is less certain than that of any memory that fades. Waves longer than the series are not
seen by any of it: to a short run they are a drift.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from m3compress.contract.arrays import FloatArray

_N_POINTS = 20  # least
_N_COARSE = 24  # means that are needed to be judged
_CAUTION = 8.0  # a memory m counts as m + 8 √(m (1 - m²)) / n, so that 30 points suffice
_CHANCE = 2.5  # standard errors of an error


@dataclass(frozen=True, slots=True)
class Slope:
    """A straight line through a correlated series.

    Attributes:
        slope: Per unit of time.
        interval: 95 % confidence interval.
        error: Standard error: the root mean square of slopes that noise alone would give.
        residual: Root mean square of what the line leaves.
        excursion: Largest distance from the line.
        discarded: Points left out at the start, as not yet at equilibrium.
    """

    slope: float
    interval: tuple[float, float]
    error: float
    residual: float
    excursion: float
    discarded: int


def fit_slope(time: FloatArray, values: FloatArray) -> Slope:
    """Fit a line, with errors that know about correlation.

    Equilibration is found by pymbar, and never takes more than a quarter.

    Args:
        time: Equally spaced, shape (n,), n ≥ 20.
        values: Shape (n,).

    Raises:
        ValueError: If there are fewer than 20 points or one is not finite, or times and values
            differ in number.
    """
    if len(time) != len(values):
        raise ValueError(f"a slope needs as many times as values, got {len(time)}, {len(values)}")
    if len(time) < _N_POINTS or not np.isfinite(values).all():
        raise ValueError(f"a slope needs {_N_POINTS} finite points, got {len(time)}")
    discarded = _equilibration(values)
    t, y = time[discarded:], values[discarded:]
    spacing = float(t[-1] - t[0]) / (len(t) - 1)
    slope, rest = _line(y)
    found = _widest(y)
    slope, reach = slope / spacing, _reach(found) / spacing
    return Slope(
        slope=slope,
        interval=(slope - reach, slope + reach),
        error=found[0] / spacing,
        residual=float(np.sqrt((rest**2).mean())),
        excursion=float(np.abs(rest).max()),
        discarded=discarded,
    )


def quiet_pymbar() -> None:
    """Keep pymbar from advertising an accelerator each time it is imported."""
    logging.getLogger("pymbar").setLevel(logging.ERROR)


def _equilibration(values: FloatArray) -> int:
    quiet_pymbar()
    from pymbar import timeseries

    if np.ptp(values) == 0:
        return 0
    found, *_ = timeseries.detect_equilibration(values, nskip=max(1, len(values) // 50))
    return min(int(found), len(values) // 4)


def _reach(found: tuple[float, float]) -> float:
    """Half of the 95 % interval for an error and its degrees of freedom."""
    return found[0] * float(stats.t.ppf(0.975, found[1]))


def _line(y: FloatArray) -> tuple[float, FloatArray]:
    """Slope per point and residuals of the line of least squares."""
    t = _centred(len(y))
    slope = float(t @ y / (t @ t))
    return slope, y - y.mean() - slope * t


def _centred(n: int) -> FloatArray:
    return np.arange(n, dtype=np.float64) - (n - 1) / 2


def _widest(y: FloatArray) -> tuple[float, float]:
    """Error of the slope per point and its degrees of freedom, of points or of means over some."""
    points = _error(y)
    means = (
        (error, freedom)
        for error, freedom in _of_means(y)
        if error > points[0] * (1 + _CHANCE / math.sqrt(2 * freedom))
    )
    return max((points, *means), key=_reach)


def _of_means(y: FloatArray) -> Iterator[tuple[float, float]]:
    """Error of the slope per point and its degrees of freedom, from means over more and more."""
    width = 2
    while len(y) // width >= _N_COARSE:
        n = len(y) // width
        error, freedom = _error(y[: n * width].reshape(n, width).mean(axis=1))
        yield error / width, freedom
        width *= 2


def _error(y: FloatArray) -> tuple[float, float]:
    """Error of the slope per point, and its degrees of freedom."""
    n, (_, rest) = len(y), _line(y)
    if np.ptp(rest) == 0:
        return 0.0, float(n - 2)
    steps = np.diff(y)
    walk = float(steps.std(ddof=1)) * math.sqrt(6 / (5 * n)), float(n - 2)
    memory = (n * float(rest[1:] @ rest[:-1] / (rest @ rest)) + 2) / (n - 4)
    memory = max(0.0, memory)  # what swings to and fro is not worth more than n points
    memory += _CAUTION * math.sqrt(max(0.0, memory * (1 - memory**2))) / n
    freedom = n * (1 - memory) / (1 + memory) - 2
    if freedom < 1:
        return walk
    t = _centred(n)
    return min((math.sqrt(float(rest @ rest) / freedom / float(t @ t)), freedom), walk, key=_reach)
