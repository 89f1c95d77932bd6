"""Spectra of oscillators with known frequencies."""

from __future__ import annotations

import numpy as np
import pytest

from m3compress.analysis.observables.spectra import vibrational_spectrum

SPACING = 10.0  # fs


def oscillators(frequencies, n_frames=400):
    """Velocities of one atom per frequency (THz), in one direction each."""
    t = np.arange(n_frames) * SPACING * 1e-3
    velocities = np.zeros((n_frames, len(frequencies), 3))
    for i, frequency in enumerate(frequencies):
        velocities[:, i, i % 3] = np.cos(2 * np.pi * frequency * t + i)
    return velocities


@pytest.mark.parametrize("frequency", [3.0, 12.3, 40.0])
def test_the_peak_stands_at_the_frequency_and_the_area_is_one(frequency):
    f, density = vibrational_spectrum(oscillators([frequency]), np.ones(1), SPACING)
    assert f[density.argmax()] == pytest.approx(frequency, abs=0.25)
    assert (density * f).sum() / density.sum() == pytest.approx(frequency, abs=0.25)
    assert density.sum() * (f[1] - f[0]) == pytest.approx(1)
    assert f[-1] == pytest.approx(50.0)


def test_atoms_count_by_their_mass():
    f, density = vibrational_spectrum(oscillators([10.0, 30.0]), np.array([1.0, 3.0]), SPACING)
    low, high = density[f < 20].sum(), density[f >= 20].sum()
    assert high / low == pytest.approx(3.0, rel=0.01)


def test_a_moving_crystal_at_rest_has_no_spectrum():
    f, density = vibrational_spectrum(np.ones((50, 4, 3)), np.ones(4), SPACING)
    assert not density.any()
    assert len(f) == 26
