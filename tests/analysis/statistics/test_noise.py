"""The error of a mean, where the mean is known and could be drawn again and again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from m3compress.analysis.statistics.noise import expected_band, measure_noise

N_FRAMES, N_BINS = 120, 40


def series(rng, correlation):
    """Stationary autoregressive frames of unit variance, (n_frames, n_bins)."""
    white = rng.normal(size=(N_FRAMES, N_BINS)) * np.sqrt(1 - correlation**2)
    white[0] /= np.sqrt(1 - correlation**2)
    return lfilter([1], [1, -correlation], white, axis=0)


@pytest.mark.parametrize(("correlation", "n_replicas"), [(0, 4), (0.9, 4), (0.95, 2), (0.98, 5)])
def test_the_error_is_how_much_means_scatter(correlation, n_replicas):
    rng = np.random.default_rng(0)
    arms = [[series(rng, correlation) for _ in range(n_replicas)] for _ in range(60)]
    found = [measure_noise(arm) for arm in arms]
    scatter = np.mean([one.mean**2 for one in found])  # about the true mean, zero
    estimated = np.mean([(one.residuals**2).sum(axis=0).mean() for one in found])
    assert 0.85 * scatter < estimated < 1.5 * scatter


def test_memory_longer_than_a_run_shows_between_two_replicas():
    rng = np.random.default_rng(1)
    stuck = [series(rng, 0) + rng.normal(size=N_BINS) for _ in range(2)]
    moving = measure_noise([series(rng, 0) for _ in range(2)])
    assert (measure_noise(stuck).residuals ** 2).sum() > 20 * (moving.residuals**2).sum()


def test_draws_have_the_size_and_the_correlations_of_the_error():
    rng = np.random.default_rng(2)
    patterns = rng.normal(size=(2, N_BINS))
    arm = [rng.normal(size=(N_FRAMES, 2)) @ patterns for _ in range(5)]
    noise = measure_noise(arm)
    draws = noise.draw(rng, 20_000)
    assert draws.mean(axis=0) == pytest.approx(0, abs=0.01)
    variance = (noise.residuals**2).sum(axis=0)
    # Student's t has a larger variance than its scale, by ν / (ν − 2).
    assert draws.var(axis=0) / variance == pytest.approx(
        noise.freedom / (noise.freedom - 2), rel=0.05
    )
    plain = noise.draw(rng, 20_000, known=True)
    assert plain.var(axis=0) / variance == pytest.approx(1, rel=0.05)
    assert np.linalg.matrix_rank(draws, tol=1e-6 * np.abs(draws).max()) == 2


def test_replicas_of_different_length_are_taken():
    mixed = measure_noise([np.ones((7, 3)), np.zeros((3, 3))])
    assert np.isfinite(mixed.mean).all()
    # Replicas that differ by more than anything inside them: two of them have one difference.
    assert mixed.freedom == 1
    single = measure_noise([np.arange(40.0)[:, None] % 7])
    assert 1 <= single.freedom <= 3


@pytest.mark.parametrize("n_replicas", [2, 3, 4, 5])
def test_what_only_replicas_show_is_known_from_their_number(n_replicas):
    rng = np.random.default_rng(3)
    stuck = [10 * rng.normal(size=N_BINS) + series(rng, 0) for _ in range(n_replicas)]
    assert measure_noise(stuck).freedom == pytest.approx(n_replicas - 1, rel=0.01)
    moving = [measure_noise([series(rng, 0) for _ in range(n_replicas)]) for _ in range(20)]
    assert np.median([one.freedom for one in moving]) > 2 * (n_replicas - 1)


def test_a_slow_mode_of_a_whole_curve_counts_as_it_does_in_the_distance():
    """It has a sixth of the variance of the mean, and most of what a distribution moves."""
    rng = np.random.default_rng(5)
    mode = np.sqrt(2 * 0.2 / N_FRAMES) * np.cos(np.linspace(0, 2 * np.pi, N_BINS, endpoint=False))
    arms = [[series(rng, 0) + rng.normal() * mode for _ in range(4)] for _ in range(100)]

    def moved(changes):
        return np.abs(np.cumsum(changes - changes.mean(axis=1, keepdims=True), axis=1)).sum(axis=1)

    scatter = np.mean([moved(measure_noise(arm).mean[None]) ** 2 for arm in arms])
    freedoms = []
    for size, least, most in (((moved,), 0.9, 1.6), ((), 0.0, 0.8)):
        found = [measure_noise(arm, *size) for arm in arms]
        drawn = [np.mean(moved(one.draw(rng, 200, known=True)) ** 2) for one in found]
        assert least * scatter < np.mean(drawn) < most * scatter
        freedoms.append(np.median([one.freedom for one in found]))
    assert freedoms[0] < 0.8 * freedoms[1]


@pytest.mark.parametrize("n_replicas", [2, 3, 4, 5])
def test_the_band_of_a_curve_holds_the_mean_of_its_like_bin_by_bin(n_replicas):
    rng = np.random.default_rng(4)
    low, high = expected_band(rng.normal(size=(n_replicas, 20_000)))
    other = rng.normal(size=(n_replicas, 20_000)).mean(axis=0)
    assert np.mean((low <= other) & (other <= high)) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("arm", [[], [np.empty((0, 4))]], ids=["no replica", "no frame"])
def test_nothing_has_no_error(arm):
    with pytest.raises(ValueError, match="at least one replica"):
        measure_noise(arm)
