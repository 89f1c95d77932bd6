"""Supercells and their widths."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from m3compress.models.structures.crystals import build_crystal
from m3compress.models.structures.supercell import (
    face_normal,
    perpendicular_widths,
    repeated,
    roundest_supercell,
    smallest_supercell,
    supercell,
)

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
