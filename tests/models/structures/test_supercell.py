"""Supercells and their widths."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from m3compress.models.structures.supercell import perpendicular_widths, supercell

OBLIQUE = Atoms("Si", cell=[[3.0, 0.2, -0.4], [1.9, 4.1, 0.3], [-0.7, 1.2, 5.2]], pbc=True)


@pytest.mark.parametrize("atoms", [OBLIQUE, bulk("Cu"), bulk("Si", cubic=True)])
def test_widths_are_those_of_the_reciprocal_cell(atoms):
    expected = 1 / np.linalg.norm(atoms.cell.reciprocal().array, axis=1)
    assert perpendicular_widths(atoms) == pytest.approx(expected)


@pytest.mark.parametrize("min_width", [1.0, 8.4, 12.0])
def test_a_supercell_is_just_wide_enough(min_width):
    found = supercell(OBLIQUE, min_width)
    assert perpendicular_widths(found).min() >= min_width
    repeats = np.round(found.cell.lengths() / OBLIQUE.cell.lengths())
    assert len(found) == repeats.prod()
    fewer = perpendicular_widths(OBLIQUE) * (repeats - 1)
    assert (fewer < min_width).all()


def test_rounding_does_not_cost_a_repeat():
    cube = Atoms("Si", cell=np.eye(3) * 4.2, pbc=True)
    assert len(supercell(cube, 8.4 + 1e-9)) == 8
