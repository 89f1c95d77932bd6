"""Structures without a meaningful energy, or whose neighbours would take forever to list."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene, molecule

from m3compress.contract.neighbors import FARTHEST, check_structure, find_edges
from m3compress.errors import StructureError

QUARTZ_LIKE = np.array([[4.916, 0, 0], [-2.458, 4.257, 0], [0, 0, 5.405]])


def refused(atoms: Atoms) -> StructureError:
    for refuse in (check_structure, lambda atoms: find_edges(atoms, 5.0)):
        with pytest.raises(StructureError) as caught:
            refuse(atoms)
    return caught.value


@pytest.mark.parametrize("cells_away", [1e7, 2**31 + 1, 1e12, 1e300])
@pytest.mark.parametrize("pbc", [True, (True, True, False), False])
def test_an_atom_far_away_is_lost(cells_away, pbc):
    atoms = bulk("Si", cubic=True)
    atoms.pbc = pbc
    atoms.positions[3] -= cells_away * atoms.cell[2]
    error = refused(atoms)
    assert "atom 3 (counting from 0) is lost" in error.message
    assert "wrap" in error.hint


def test_where_no_atom_is_lost_edges_are_those_at_home():
    atoms = bulk("Si", cubic=True)
    home, vectors = find_edges(atoms, 5.0)
    n_cells = np.floor(FARTHEST / atoms.cell.lengths()[0]) - 1
    atoms.positions[3] += n_cells * atoms.cell[0]
    edges, away = find_edges(atoms, 5.0)
    assert len(edges.centers) == len(home.centers)
    np.testing.assert_allclose(
        *(np.sort(np.linalg.norm(x, axis=1)) for x in (vectors, away)), atol=1e-8
    )


def test_cells_are_counted_in_narrow_directions():
    narrow = Atoms("Si", [[9e6, 0, 0]], cell=[0.05, 10, 10], pbc=True)
    assert "expected within 5e+06 Å" in refused(narrow).message


@pytest.mark.parametrize("third", [[4.916, 0, 0], [2.458, 4.257, 0], [0, 0, 0]])
def test_vectors_in_a_plane_are_singular(third):
    cell = [*QUARTZ_LIKE[:2], third]
    assert "the cell is singular" in refused(Atoms("Si", cell=cell, pbc=True)).message
    check_structure(Atoms("Si", cell=cell, pbc=(True, True, False)))


@pytest.mark.parametrize(
    ("cell", "pbc"),
    [
        (QUARTZ_LIKE / 10, True),
        (QUARTZ_LIKE / 10, (True, True, False)),
        ([*QUARTZ_LIKE[:2], QUARTZ_LIKE[0] + [0, 0, 1e-4]], True),
        (np.diag([2000, 2000, 4e-6]), True),
    ],
    ids=["nm", "a slab in nm", "nearly in a plane", "a row of images"],
)
def test_cells_that_no_atoms_fit_into_are_refused_at_once(cell, pbc):
    atoms = Atoms("Si3O6", scaled_positions=np.random.default_rng(0).random((9, 3)), cell=cell)
    atoms.pbc = pbc
    error = refused(atoms)
    assert "the cell is too" in error.message
    assert "in Å?" in error.hint


SKEWED = bulk("Si", cubic=True)
SKEWED.set_cell(np.array([[1, 0, 0], [20, 1, 0], [-20, 21, 1]]) @ SKEWED.cell.array)


@pytest.mark.parametrize(
    "atoms",
    [
        Atoms("Si", cell=[2, 2, 2], pbc=True),
        Atoms("H", cell=[1.2, 1.2, 1.2], pbc=True),
        Atoms("Si", cell=[0, 0, 2], pbc=(False, False, True)),
        Atoms("H", cell=[1e6, 1e6, 1e6], pbc=True),
        graphene(),
        molecule("C60"),
        SKEWED,
    ],
    ids=["2 Å", "dense hydrogen", "a wire", "vacuum", "graphene", "a molecule", "skewed"],
)
def test_what_is_small_flat_or_skewed_is_no_mistake(atoms):
    edges, vectors = find_edges(atoms, 8.0)
    assert (np.linalg.norm(vectors, axis=1) < 8.0).all()
    assert edges.n_atoms == len(atoms)
