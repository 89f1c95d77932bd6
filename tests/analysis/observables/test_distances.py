"""Distances of curves whose distance is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from m3compress.analysis.observables.distances import (
    adf_error,
    area_between,
    rdf_error,
    transport,
    vdos_error,
)

X = np.linspace(0, 10, 1001)


def bump(centre, width=0.3, x=X):
    return np.exp(-(((x - centre) / width) ** 2) / 2)


@pytest.mark.parametrize("shift", [0.05, 0.7, 3.0])
def test_the_transport_of_a_shifted_curve_is_the_shift(shift):
    assert transport(X, bump(4 + shift), bump(4)) == pytest.approx(shift, rel=1e-3)
    # Heights do not matter, only shapes.
    assert transport(X, 7 * bump(4 + shift), bump(4)) == pytest.approx(shift, rel=1e-3)


def test_transport_agrees_with_scipy():
    rng = np.random.default_rng(0)
    for _ in range(10):
        a, b = rng.uniform(-0.2, 1, (2, len(X)))
        kept = np.clip(a, 0, None), np.clip(b, 0, None)
        assert transport(X, a, b) == pytest.approx(wasserstein_distance(X, X, *kept))


def test_the_transport_from_nothing_is_infinite():
    assert transport(X, np.zeros_like(X), bump(4)) == np.inf


def test_area_between_boxes():
    a, b = (X < 5).astype(float), (X < 3).astype(float)
    assert area_between(X, a, b) == pytest.approx(2.0, abs=0.02)
    assert area_between(X, np.array([a, b]), b) == pytest.approx([2.0, 0.0], abs=0.02)


def test_rdf_error_is_zero_for_itself_and_all_for_a_gas():
    g = 1 + 2 * bump(3) - bump(5)
    assert rdf_error(X, g, g) == 0
    assert rdf_error(X, np.ones_like(X), g) == pytest.approx(100)
    assert rdf_error(X, 1 + 0.9 * (g - 1), g) == pytest.approx(10)
    assert rdf_error(X, 50 * g, g) == 100
    assert rdf_error(X, np.array([g, np.ones_like(X)]), g) == pytest.approx([0, 100])


def test_adf_error_is_relative_to_isotropic_angles():
    degrees = np.arange(180) + 0.5
    p = bump(109.5, 8, degrees)
    assert adf_error(degrees, p, p) == 0
    assert adf_error(degrees, np.sin(np.radians(degrees)), p) == pytest.approx(100)
    scale = transport(degrees, p, np.sin(np.radians(degrees)))
    assert adf_error(degrees, bump(112.5, 8, degrees), p) == pytest.approx(300 / scale, rel=1e-3)
    assert adf_error(degrees, np.zeros(180), p) == 100


def test_vdos_error_is_the_shift_over_the_width():
    f = np.linspace(0, 50, 2001)
    p = bump(20, 5, f)
    assert vdos_error(f, p, p) == 0
    assert vdos_error(f, bump(21, 5, f), p) == pytest.approx(20, rel=0.03)
    assert vdos_error(f, bump(45, 1, f), p) == 100
