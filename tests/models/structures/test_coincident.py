"""Atoms in the same place, in all kinds of cells."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from m3compress.errors import StructureError
from m3compress.models.structures.coincident import refuse_coincident


@pytest.mark.parametrize("pbc", [(1, 1, 1), (1, 0, 1), (0, 0, 0)])
@pytest.mark.parametrize(
    "cell", [[8, 9, 10], [1e5, 3, 1e4], [[8, 0, 0], [40, 9, 0], [-70, 80, 10]]]
)
@pytest.mark.parametrize("offset", [0.0, 1e-12, -1e-12, 123.4])
def test_an_image_is_found_along_periodic_vectors_only(
    pbc: tuple[int, ...], cell: list[object], offset: float
) -> None:
    for axis in range(3):
        atoms = Atoms("Si3", [[0.0, 0, 0], [1, 1, 1], [1.1, 1.1, 1.1]], cell=cell, pbc=pbc)
        atoms += Atoms("O", [atoms.positions[1] + 3 * atoms.cell.array[axis]])
        atoms.positions += offset
        if pbc[axis]:
            with pytest.raises(StructureError, match=r"atoms 1 and 3 .* across the boundary") as e:
                refuse_coincident(atoms)
            assert e.value.atoms == (1, 3)
        else:
            refuse_coincident(atoms)


def test_crystals_and_single_atoms_have_none() -> None:
    for atoms in (bulk("Si"), bulk("Cu"), bulk("NaCl", "rocksalt", a=5.64).repeat(3), Atoms("O")):
        refuse_coincident(atoms)


def test_many_in_one_place_are_found_at_once() -> None:
    with pytest.raises(StructureError, match=r"are 0\.0e"):
        refuse_coincident(Atoms("Si5000", np.zeros((5000, 3)), cell=[9, 9, 9], pbc=True))
