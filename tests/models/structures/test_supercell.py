"""Supercells are as wide as they must be."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from m3compress.contract.cells import perpendicular_widths
from m3compress.errors import StructureError
from m3compress.models.structures.crystals import build_crystal
from m3compress.models.structures.supercell import (
    reduced,
    repeated,
    roundest_supercell,
    smallest_supercell,
    supercell,
    supercell_of,
)

OBLIQUE = Atoms("Si", cell=[[3.0, 0.2, -0.4], [1.9, 4.1, 0.3], [-0.7, 1.2, 5.2]], pbc=True)


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


def test_the_smallest_supercell_may_be_one_of_the_conventional_cell():
    primitive = build_crystal("Si-diamond")
    found = smallest_supercell(primitive, 10.0)
    assert perpendicular_widths(found).min() >= 10.0
    assert len(found) == 64 < len(supercell(primitive, 10.0))
    density = len(found) / found.get_volume()
    assert density == pytest.approx(len(primitive) / primitive.get_volume())


def test_the_smallest_supercell_of_a_hexagonal_crystal_is_one_of_itself():
    quartz = build_crystal("SiO2-quartz")
    assert len(smallest_supercell(quartz, 8.0)) == len(supercell(quartz, 8.0))


@pytest.mark.parametrize("n_atoms", [9, 48, 200])
def test_the_roundest_supercell_is_as_large_as_it_may_be(n_atoms):
    cell = build_crystal("SiO2-quartz")
    found = roundest_supercell(cell, n_atoms)
    assert len(found) <= n_atoms < 2 * len(found) + len(cell)
    lengths = found.cell.lengths()
    assert lengths.max() < lengths.min() + cell.cell.lengths().max()


def test_small_cells_are_repeated_to_eight_atoms_and_large_ones_copied():
    copper, quartz = build_crystal("Cu-fcc"), build_crystal("SiO2-quartz")
    assert len(repeated(copper)) == 8
    copy = repeated(quartz)
    assert copy == quartz
    assert copy is not quartz


@pytest.mark.parametrize("larger", [reduced, lambda atoms: supercell(atoms, 10.0)])
def test_a_flat_cell_is_refused(larger):
    flat = Atoms("Si", cell=[[3, 0, 0], [0, 4, 0], [3, 0, 0]], pbc=True)
    with pytest.raises(StructureError, match="singular"):
        larger(flat)


@pytest.mark.parametrize("name", ["TiO2-rutile", "SiO2-quartz", "Si-diamond"])
def test_a_skewed_cell_grows_as_wide_as_a_straight_one(name):
    straight = build_crystal(name)
    skewed = straight.copy()
    skewed.set_cell(np.array([[1, 0, 0], [6, 1, 0], [-5, 7, 1]]) @ straight.cell.array)
    expected, found = (supercell_of(cell, 60) for cell in (straight, skewed))
    assert len(found) == len(expected)
    # Of a primitive cell of diamond there are several reduced ones, of other angles.
    assert perpendicular_widths(found).min() > 0.85 * perpendicular_widths(expected).min()


def test_a_cell_that_is_not_skewed_is_repeated_as_it_is():
    for name in ("TiO2-rutile", "SiO2-quartz", "Si-diamond"):
        cell = build_crystal(name)
        found = supercell_of(cell, 60)
        repeats = np.linalg.solve(cell.cell.array.T, found.cell.array.T)
        assert np.allclose(repeats, np.diag(np.diag(repeats)))
