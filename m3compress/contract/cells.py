"""Distances and directions of the faces of a cell, and cells that cannot be meant."""

from __future__ import annotations

from typing import Final

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell

from m3compress.contract.arrays import BoolArray, FloatArray
from m3compress.errors import StructureError

#: Cell vectors that span less in a direction (Å) span nothing in it.
_FLAT: Final = 1e-6
#: Closest packing at 0.5 Å, down to which models are compared, has 11.3 atoms/Å³ (hydrogen at
#: 500 GPa 0.6). Most crystals in nm that are read as Å have 20 to 100.
_DENSEST: Final = 12.0
#: What an atom takes up in a direction without periodicity, in Å.
_ATOM_SIZE: Final = 2.0
#: A neighbour list looks at the cells within its cutoff and skin, which are less than this (Å).
_REACH: Final = 10.0
#: One atom in a cell of 2 Å has 1300. A search takes about a second for this many and ten atoms.
_MOST_IMAGES: Final = 1e7
_IN_ANGSTROM: Final = (
    "is the cell in Å? A cell in nm is too small by 10; or a cell vector lies almost in the plane "
    "of the other two"
)


def face_normal(atoms: Atoms, axis: int) -> FloatArray:
    """Unit vector perpendicular to the two cell vectors other than ``axis``, shape (3,).

    Args:
        atoms: A structure; cell vectors that it lacks are taken to be perpendicular to the others.
        axis: 0, 1 or 2.
    """
    cell = atoms.cell.complete().array
    normal = np.cross(cell[(axis + 1) % 3], cell[(axis + 2) % 3])
    return np.asarray(normal / np.linalg.norm(normal))


def perpendicular_widths(atoms: Atoms) -> FloatArray:
    """Distances of opposite faces of the cell in Å, shape (3,).

    Args:
        atoms: A structure; cell vectors that it lacks count as 1 Å.

    Raises:
        StructureError: If its cell vectors lie in a plane or on a line.
    """
    refuse_singular(atoms, atoms.cell.any(1))
    cell = atoms.cell.complete().array
    return np.array([abs(face_normal(atoms, axis) @ cell[axis]) for axis in range(3)])


def refuse_singular(atoms: Atoms, axes: BoolArray) -> None:
    """Refuse cell vectors that lie in a plane or on a line, or that are zero.

    ASE's ``cell.rank`` counts the vectors that are not zero, whatever their directions.

    Args:
        atoms: A structure.
        axes: Which of its vectors must span a space, a plane or a line, shape (3,).

    Raises:
        StructureError: If they do not.
    """
    if not _span(atoms.cell.array[axes]):
        raise StructureError(
            f"the cell is singular along its periodic directions: {atoms.cell.tolist()}",
            hint="give every periodic direction its own cell vector, or set pbc to False there",
        )


def has_volume(atoms: Atoms) -> bool:
    """Whether a structure is periodic in all directions, with cell vectors that span a space."""
    return bool(atoms.pbc.all()) and _span(atoms.cell.array)


def _span(vectors: FloatArray) -> bool:
    """Whether no vector, shape (n, 3), lies in what the others span."""
    return not len(vectors) or int(np.linalg.matrix_rank(vectors, tol=_FLAT)) == len(vectors)


def periodic_widths(atoms: Atoms) -> FloatArray:
    """Distances of the faces of the periodic axes in Å, shape (n_periodic,).

    Args:
        atoms: A structure whose periodic cell vectors are not singular. Those of the other axes do
            not count.
    """
    inverse = np.linalg.inv(periodic_cell(atoms))
    return np.asarray(1 / np.linalg.norm(inverse, axis=0)[atoms.pbc])


def refuse_tiny(atoms: Atoms) -> None:
    """Refuse a cell that no atoms fit into: its neighbour list would be endless.

    Args:
        atoms: A structure whose periodic cell vectors are not singular.

    Raises:
        StructureError: If it is denser than matter can be, or has very many images nearby.
    """
    if not atoms.pbc.any():
        return
    volume = _volume(atoms)
    density = len(atoms) / volume
    if density > _DENSEST:
        raise StructureError(
            f"the cell is too small for its atoms: {len(atoms)} in {volume:.3g} Å³ are "
            f"{density:.3g} atoms/Å³, expected at most {_DENSEST:g}",
            hint=_IN_ANGSTROM,
        )
    n_images = float(np.prod(1 + 2 * np.ceil(_REACH / periodic_widths(atoms))))
    if n_images > _MOST_IMAGES:
        raise StructureError(
            f"the cell is too flat: {n_images:.2g} images of it are within {_REACH:g} Å, expected "
            f"at most {_MOST_IMAGES:.0e}",
            hint=_IN_ANGSTROM,
        )


def periodic_cell(atoms: Atoms) -> FloatArray:
    """The cell with unit vectors, perpendicular to the others, where it is not periodic."""
    cell = atoms.cell.array
    if atoms.pbc.all():
        return np.asarray(cell)
    return np.asarray(complete_cell(np.where(atoms.pbc[:, None], cell, 0.0)))


def _volume(atoms: Atoms) -> float:
    """Of the cell in Å³, as thick as the atoms are where it is not periodic."""
    cell = periodic_cell(atoms)
    volume = abs(float(np.linalg.det(cell)))
    if not atoms.pbc.all():
        # The vectors without periodicity have the length 1 and are perpendicular to the others.
        thickness = np.ptp(atoms.positions @ np.linalg.inv(cell)[:, ~atoms.pbc], axis=0)
        volume *= float(np.prod(thickness + _ATOM_SIZE))
    return volume
