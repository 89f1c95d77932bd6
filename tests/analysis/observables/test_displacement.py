"""Mean squared displacements against the definition."""

from __future__ import annotations

import numpy as np

from m3compress.analysis.observables.displacement import mean_squared_displacement


def test_the_fast_way_agrees_with_the_definition():
    rng = np.random.default_rng(0)
    positions = np.cumsum(rng.normal(size=(37, 5, 3)), axis=0)
    masses = rng.uniform(1, 30, 5)
    centre = (positions * masses[:, None]).sum(axis=1, keepdims=True) / masses.sum()
    x = positions - centre
    expected = [((x[lag:] - x[: len(x) - lag]) ** 2).sum(axis=-1).mean() for lag in range(len(x))]
    np.testing.assert_allclose(
        mean_squared_displacement(positions, masses), expected, rtol=1e-9, atol=1e-9
    )


def test_ballistic_motion_is_quadratic_and_a_common_drift_is_none():
    t = np.arange(50)
    velocities = np.array([[0.1, 0, 0], [-0.1, 0, 0]])
    positions = t[:, None, None] * velocities + 100.0
    found = mean_squared_displacement(positions, np.ones(2))
    np.testing.assert_allclose(found, (0.1 * t) ** 2, atol=1e-8)
    drift = t[:, None, None] * np.array([0.3, 0.2, 0.1])
    np.testing.assert_allclose(
        mean_squared_displacement(positions + drift, np.ones(2)), found, atol=1e-7
    )
