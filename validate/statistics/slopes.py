"""The slope of a conserved quantity, with an honest interval."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[np.float64]

_N_BLOCKS = 10


@dataclass(frozen=True, slots=True)
class Slope:
    """A straight line through a correlated series.

    Attributes:
        slope: Per unit of time.
        interval: 95 % confidence interval, the widest of three estimates.
        residual: Root mean square of what the line leaves.
        excursion: Largest distance from the line.
        discarded: Points left out at the start, as not yet at equilibrium.
    """

    slope: float
    interval: tuple[float, float]
    residual: float
    excursion: float
    discarded: int


def fit_slope(time: Array, values: Array) -> Slope:
    """Fit a line, with errors that know about correlation.

    The interval is the widest of Newey and West's (HAC, statsmodels), that of a line through the
    means of ten blocks, and that of as many independent points as the residuals are worth (Santer
    et al., J. Geophys. Res. 105, 7337 (2000)); each of them is too narrow for some short series.
    Equilibration is found by pymbar, and never takes more than a quarter.

    Args:
        time: Shape (n,), n ≥ 20.
        values: Shape (n,).

    Raises:
        ValueError: If there are fewer than 20 points or one is not finite, or times and values
            differ in number.
    """
    if len(time) != len(values):
        raise ValueError(f"a slope needs as many times as values, got {len(time)}, {len(values)}")
    if len(time) < 2 * _N_BLOCKS or not np.isfinite(values).all():
        raise ValueError(f"a slope needs {2 * _N_BLOCKS} finite points, got {len(time)}")
    discarded = _equilibration(values)
    t, y = time[discarded:], values[discarded:]
    t = t - t.mean()
    slope, error = _newey_west(t, y)
    rest = y - y.mean() - slope * t
    reach = max(1.96 * error, _block_reach(t, y), _effective_reach(t, rest))
    return Slope(
        slope=slope,
        interval=(slope - reach, slope + reach),
        residual=float(np.sqrt((rest**2).mean())),
        excursion=float(np.abs(rest).max()),
        discarded=discarded,
    )


def quiet_pymbar() -> None:
    """Keep pymbar from advertising an accelerator each time it is imported."""
    logging.getLogger("pymbar").setLevel(logging.ERROR)


def _equilibration(values: Array) -> int:
    quiet_pymbar()
    from pymbar import timeseries

    if np.ptp(values) == 0:
        return 0
    found, *_ = timeseries.detect_equilibration(values, nskip=max(1, len(values) // 50))
    return min(int(found), len(values) // 4)


def _newey_west(t: Array, y: Array) -> tuple[float, float]:
    import statsmodels.api as sm

    lags = max(1, int(len(t) ** 0.5))
    fit = sm.OLS(y, sm.add_constant(t)).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    return float(fit.params[1]), float(fit.bse[1])


def _block_reach(t: Array, y: Array) -> float:
    """Half of the 95 % interval of the slope of block means."""
    times = np.array([part.mean() for part in np.array_split(t, _N_BLOCKS)])
    means = np.array([part.mean() for part in np.array_split(y, _N_BLOCKS)])
    fit = stats.linregress(times, means)
    return float(fit.stderr * stats.t.ppf(0.975, _N_BLOCKS - 2))


def _effective_reach(t: Array, rest: Array) -> float:
    """Half of the 95 % interval for fewer, independent points: n over their inefficiency."""
    from pymbar import timeseries

    if np.ptp(rest) == 0:
        return 0.0
    inefficiency = float(timeseries.statistical_inefficiency(rest))
    freedom = max(1.0, len(t) / inefficiency - 2)
    error = float(np.sqrt((rest**2).mean() * inefficiency / (t**2).sum()))
    return float(stats.t.ppf(0.975, freedom)) * error
