"""Slopes of series whose slope is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from m3compress.analysis.statistics.slopes import fit_slope

TIME = np.linspace(0, 20, 400)  # ps
N_TRIALS = 100


def series(seed, correlation=0.0, slope=0.0):
    white = np.random.default_rng(seed).normal(size=len(TIME) + 200)
    return slope * TIME + lfilter([1], [1, -correlation], white)[200:]


@pytest.mark.parametrize("slope", [0.0, 0.5, -2.0])
def test_the_interval_covers_the_slope_of_white_noise(slope):
    found = [fit_slope(TIME, series(seed, slope=slope)) for seed in range(N_TRIALS)]
    covered = [one.interval[0] <= slope <= one.interval[1] for one in found]
    assert np.mean(covered) >= 0.93
    assert np.mean([one.slope for one in found]) == pytest.approx(slope, abs=0.01)
    assert np.mean([one.residual for one in found]) == pytest.approx(1, rel=0.05)
    assert all(one.excursion > one.residual for one in found)


def test_a_slope_is_seen():
    found = [fit_slope(TIME, series(seed, slope=0.1)) for seed in range(N_TRIALS)]
    assert np.mean([one.interval[0] > 0 for one in found]) > 0.9


@pytest.mark.parametrize("correlation", [0.8, 0.95])
def test_correlated_noise_has_no_significant_slope(correlation):
    found = [fit_slope(TIME, series(seed, correlation)) for seed in range(N_TRIALS)]
    significant = [not one.interval[0] <= 0 <= one.interval[1] for one in found]
    # Ordinary least squares calls 46 % and 71 % of these significant.
    assert np.mean(significant) <= 0.07


@pytest.mark.parametrize(
    ("n", "correlation", "n_trials"),
    [
        (30, 0.0, 500),
        (30, 0.8, 500),
        (30, 0.95, 1500),
        (50, 0.0, 300),
        (50, 0.8, 300),
        (50, 0.95, 500),
        (300, 0.8, 200),
        (300, 0.95, 200),
    ],
)
def test_the_interval_is_honest_at_the_lengths_of_smoke_and_ci(n, correlation, n_trials):
    # Frames every 10 fs of 0.3, 0.5 and 3 ps; n - 2 in place of n_e - 2 covers 0.81 and 0.63 of 50.
    white = np.random.default_rng(1).normal(size=(n_trials, n + 200))
    noise = lfilter([1], [1, -correlation], white)[:, 200:]
    found = [fit_slope(0.01 * np.arange(n), one) for one in noise]
    assert np.mean([one.interval[0] <= 0 <= one.interval[1] for one in found]) >= 0.93
    for one in found:
        assert np.isfinite(one.interval).all()
        assert 0 < one.error < one.interval[1] - one.slope


def test_slow_waves_below_fast_ones_are_seen():
    # Neighbouring points tell of the fast ones alone: means over more of them are needed.
    white = np.random.default_rng(2).normal(size=(200, 2, 500))
    slow = lfilter([1], [1, -0.95], white[:, 0])[:, 200:] * np.sqrt(1 - 0.95**2)
    found = [fit_slope(0.01 * np.arange(300), one) for one in slow + white[:, 1, 200:]]
    assert np.mean([one.interval[0] <= 0 <= one.interval[1] for one in found]) >= 0.9


def test_what_says_nothing_is_as_wide_as_a_random_walk():
    steps = np.random.default_rng(3).normal(size=50)
    found = fit_slope(np.arange(50.0), np.cumsum(steps))
    assert found.interval[1] - found.slope == pytest.approx(2 * np.sqrt(1.2 / 50), rel=0.35)


def test_a_constant_has_no_slope():
    found = fit_slope(TIME, np.full(len(TIME), -123.4))
    assert abs(found.slope) < 1e-10
    assert found.residual < 1e-10
    assert found.discarded == 0
    assert all(abs(end) < 1e-10 for end in found.interval)


def test_equilibration_is_left_out_but_never_more_than_a_quarter():
    values = series(0) + 50 * np.exp(-TIME / 0.5)
    found = fit_slope(TIME, values)
    assert 0 < found.discarded <= len(TIME) // 4
    assert found.interval[0] <= 0.05
    assert fit_slope(TIME, np.exp(TIME)).discarded <= len(TIME) // 4


@pytest.mark.parametrize(
    ("n", "bad"), [(19, False), (0, False), (100, True)], ids=["few", "none", "NaN"]
)
def test_what_has_no_slope_is_refused(n, bad):
    values = np.zeros(n)
    if bad:
        values[5] = np.nan
    with pytest.raises(ValueError, match="20 finite points"):
        fit_slope(np.arange(n, dtype=float), values)
