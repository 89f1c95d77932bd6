"""Forces and virial of an exported file are derivatives; the stencil against known functions."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms

from m3compress.engines.conformance.derivatives import (
    crosses_no_cutoff,
    derivative,
    force_errors,
    virial_errors,
)


def test_the_stencil_is_exact_for_polynomials_of_fourth_degree():
    polynomial = np.polynomial.Polynomial([3.0, -2.0, 5.0, 7.0, 11.0])
    assert derivative(polynomial, 0.3) == pytest.approx(-2.0, abs=1e-12)


def test_the_error_of_the_stencil_is_of_fourth_order():
    errors = [abs(derivative(np.exp, step) - 1.0) for step in (0.2, 0.1)]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.05)


@pytest.mark.parametrize(
    ("distance", "clear"), [(4.5, True), (4.99, False), (4.01, False), (5.05, True)]
)
def test_crossing_a_cutoff(distance, clear):
    model = SimpleNamespace(cutoff=5.0, three_body_cutoff=4.0)

    def path(s):
        return Atoms("Si2", positions=[[0, 0, 0], [0, 0, distance + s]])

    assert crosses_no_cutoff(model, path, 0.02) is clear


def test_an_exported_file_passes(probed, structures):
    atoms = structures["triclinic"]
    result = probed.evaluate(atoms)
    forces = force_errors(probed, atoms, result.forces, np.random.default_rng(0))
    virial = virial_errors(probed, atoms, result.virial, np.random.default_rng(0))
    assert 0 < max(forces) < 5e-3
    assert 0 < max(virial) < 5e-3


def test_forces_that_are_no_derivative_are_seen(probed, structures):
    atoms = structures["triclinic"]
    result = probed.evaluate(atoms)
    rng = np.random.default_rng(0)
    assert max(force_errors(probed, atoms, 1.1 * result.forces, rng)) > 0.05
    assert max(virial_errors(probed, atoms, -result.virial, rng)) > 0.5
