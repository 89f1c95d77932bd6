"""The error of a mean, where the mean is known and could be drawn again and again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from m3compress.validate.statistics.noise import measure_noise

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
    # Student's t has a larger variance than its scale, by ν / (ν − 2).
    ratio = draws.var(axis=0) / (noise.residuals**2).sum(axis=0)
    assert (ratio > 1).all()
    assert (ratio < 1.25).all()
    assert np.linalg.matrix_rank(draws, tol=1e-6 * np.abs(draws).max()) == 2


def test_replicas_of_different_length_and_single_frames_are_taken():
    assert measure_noise([np.ones((1, 3))]).residuals.any() == np.False_
    mixed = measure_noise([np.ones((7, 3)), np.zeros((3, 3))])
    assert np.isfinite(mixed.mean).all()
    assert mixed.freedom == 6


@pytest.mark.parametrize("arm", [[], [np.empty((0, 4))]], ids=["no replica", "no frame"])
def test_nothing_has_no_error(arm):
    with pytest.raises(ValueError, match="at least one replica"):
        measure_noise(arm)
