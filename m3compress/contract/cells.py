"""Distances and directions of the faces of a cell."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from m3compress.contract.neighbors import FloatArray


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
    """
    cell = atoms.cell.complete().array
    return np.array([abs(face_normal(atoms, axis) @ cell[axis]) for axis in range(3)])
