"""What is done to a structure, and what an exported file makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from m3compress.engines.conformance import operations
from m3compress.engines.conformance.operations import _random_rotation

OPERATIONS = (
    operations.permute,
    operations.reorder_neighbors,
    operations.translate,
    operations.rotate,
    operations.invert,
    operations.wrap,
    operations.repeat,
    operations.skew_cell,
    operations.separate,
    operations.sum_forces,
)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", ["triclinic", "wire", "molecule", "isolated"])
def test_an_exported_file_passes(operation, name, probed, structures):
    atoms = structures[name]
    base = probed.evaluate(atoms)
    found = operation(probed, atoms, base, np.random.default_rng(0))
    if found is not None:
        assert found.force < 1e-4
        assert found.energy < 1e-5


def test_what_does_not_apply_is_not_measured(probed, structures):
    atoms = structures["isolated"]
    base = probed.evaluate(atoms)
    for name in ("permute", "wrap", "repeat", "skew_cell", "move_far_atoms"):
        operation = getattr(operations, name)
        assert operation(probed, atoms, base, np.random.default_rng(0)) is None


def test_random_rotations_are_rotations():
    rng = np.random.default_rng(0)
    matrices = np.array([_random_rotation(rng) for _ in range(2000)])
    assert np.allclose(np.linalg.det(matrices), 1.0)
    assert np.allclose(Rotation.from_matrix(matrices).as_matrix(), matrices)
    # Uniform: no direction is preferred.
    assert np.abs(matrices.mean(axis=0)).max() < 0.06


def test_energies_of_atoms_are_carried_through_a_permutation(probed, structures):
    class Reversed:
        """Says every atom's energy of another atom; the total is right."""

        def evaluate(self, atoms):
            result = probed.evaluate(atoms)
            return replace(result, energies=result.energies[::-1])

    model, atoms = Reversed(), structures["molecule"]
    found = operations.permute(model, atoms, model.evaluate(atoms), np.random.default_rng(0))
    assert found.force > 1e-3
    assert found.energy < 1e-5
