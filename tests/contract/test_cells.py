"""Widths of cells, and the normals of their faces."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from m3compress.contract.cells import face_normal, perpendicular_widths
from m3compress.errors import StructureError

OBLIQUE = Atoms("Si", cell=[[3.0, 0.2, -0.4], [1.9, 4.1, 0.3], [-0.7, 1.2, 5.2]], pbc=True)


@pytest.mark.parametrize("atoms", [OBLIQUE, bulk("Cu"), bulk("Si", cubic=True)])
def test_widths_are_those_of_the_reciprocal_cell(atoms):
    expected = 1 / np.linalg.norm(atoms.cell.reciprocal().array, axis=1)
    assert perpendicular_widths(atoms) == pytest.approx(expected)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_face_is_perpendicular_to_its_normal(axis):
    normal = face_normal(OBLIQUE, axis)
    others = np.delete(OBLIQUE.cell.array, axis, axis=0)
    np.testing.assert_allclose(others @ normal, 0, atol=1e-12)
    assert np.linalg.norm(normal) == pytest.approx(1)


def test_a_cell_vector_that_is_not_there_counts_as_one_unit():
    wire = Atoms("Si", cell=[0, 0, 4.2], pbc=(False, False, True))
    assert perpendicular_widths(wire) == pytest.approx([1, 1, 4.2])


def test_a_flat_cell_has_no_widths():
    flat = Atoms("Si", cell=[[3, 0, 0], [0, 4, 0], [3, 0, 0]])
    with pytest.raises(StructureError, match="singular"):
        perpendicular_widths(flat)
