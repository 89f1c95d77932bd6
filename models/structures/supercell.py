"""Larger cells: of so many atoms, or wide enough for radial distribution functions."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce

from m3compress.contract.cells import perpendicular_widths, refuse_singular

_SMALL_CELL = 8  # atoms
#: A width that misses the wanted one by less (Å) is that width, but for rounding.
_ROUNDING = 1e-6


def supercell(atoms: Atoms, min_width: float) -> Atoms:
    """The cell repeated along its vectors until its faces are ``min_width`` Å apart.

    Args:
        atoms: A structure with three cell vectors.
        min_width: Smallest distance of opposite faces in Å.

    Raises:
        StructureError: If they lie in a plane.
    """
    # The widths of a repeated cell are exactly those of the cell, times the repeats.
    repeats = np.ceil((min_width - _ROUNDING) / perpendicular_widths(atoms)).astype(int)
    return atoms.repeat(np.maximum(repeats, 1))


def reduced(atoms: Atoms) -> Atoms:
    """The same crystal in a cell of the shortest vectors (Minkowski), atoms where they were.

    A strongly skewed cell is narrow: repeated as it is, it would need many times the atoms.

    Args:
        atoms: A structure that is periodic in all directions.

    Raises:
        StructureError: If its cell vectors lie in a plane.
    """
    refuse_singular(atoms, atoms.pbc)
    try:
        cell, _ = minkowski_reduce(atoms.cell, pbc=True)
    except RuntimeError:  # it gives up on cells that are flat but for rounding
        return atoms
    same = atoms.copy()
    same.set_cell(cell)
    return same


def smallest_supercell(atoms: Atoms, min_width: float) -> Atoms:
    """A :func:`supercell` of the cell itself or of the conventional one, whichever is smaller.

    A primitive cell of a cubic crystal is oblique, and has to be repeated more often.

    Args:
        atoms: A crystal.
        min_width: Smallest distance of opposite faces in Å.
    """
    cells = [atoms, *_conventional(atoms)]
    return min((supercell(cell, min_width) for cell in cells), key=len)


def _conventional(atoms: Atoms) -> list[Atoms]:
    """The conventional cell; none where no symmetry is found."""
    import spglib

    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    found = spglib.standardize_cell(cell, to_primitive=False, symprec=1e-3)
    if found is None:
        return []
    lattice, positions, numbers = found
    return [Atoms(numbers=numbers, scaled_positions=positions, cell=lattice, pbc=True)]


def roundest_supercell(atoms: Atoms, n_atoms: int) -> Atoms:
    """The roundest supercell of at most ``n_atoms`` atoms."""
    repeats = np.ones(3, dtype=int)
    lengths = atoms.cell.lengths()
    while True:
        axis = int(np.argmin(lengths * repeats))
        larger = repeats + np.eye(3, dtype=int)[axis]
        if len(atoms) * larger.prod() > n_atoms:
            return atoms.repeat(repeats)
        repeats = larger


def supercell_of(atoms: Atoms, n_atoms: int) -> Atoms:
    """The roundest supercell of at least ``n_atoms`` atoms.

    It is one of the cell itself, unless that is so skewed that one of the reduced cell is wider.

    Args:
        atoms: A structure.
        n_atoms: How many are wanted.

    Raises:
        StructureError: If it is periodic in all directions, and its cell vectors lie in a plane.
    """
    plain = _grown(atoms, n_atoms)
    if not atoms.pbc.all():
        return plain
    other = _grown(reduced(atoms), n_atoms)
    wider = perpendicular_widths(other).min() > perpendicular_widths(plain).min() + _ROUNDING
    return other if wider else plain


def _grown(atoms: Atoms, n_atoms: int) -> Atoms:
    """The cell repeated along its shortest vectors to at least ``n_atoms`` atoms."""
    repeats = np.ones(3, dtype=int)
    while len(atoms) * repeats.prod() < n_atoms:
        repeats[np.argmin(atoms.cell.lengths() * repeats)] += 1
    return atoms.repeat(repeats)


def repeated(atoms: Atoms) -> Atoms:
    """A copy, repeated along its shortest axes to at least 8 atoms."""
    while len(atoms) < _SMALL_CELL:
        atoms = atoms.repeat(1 + np.eye(3, dtype=int)[np.argmin(atoms.cell.lengths())])
    return atoms.copy()
