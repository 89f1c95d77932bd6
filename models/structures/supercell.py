"""Cells wide enough for radial distribution functions."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from m3compress.contract.neighbors import FloatArray

#: A width that misses the wanted one by less (Å) is that width, but for rounding.
_ROUNDING = 1e-6


def perpendicular_widths(atoms: Atoms) -> FloatArray:
    """Distances of opposite faces of the cell in Å, volume / area, shape (3,).

    Args:
        atoms: A structure with three cell vectors.
    """
    cell = atoms.cell.array
    normals = np.cross(np.roll(cell, -1, axis=0), np.roll(cell, -2, axis=0))
    return np.asarray(abs(np.linalg.det(cell)) / np.linalg.norm(normals, axis=1))


def supercell(atoms: Atoms, min_width: float) -> Atoms:
    """The cell repeated along its vectors until its faces are ``min_width`` Å apart.

    Args:
        atoms: A structure with three cell vectors.
        min_width: Smallest distance of opposite faces in Å.
    """
    # The widths of a repeated cell are exactly those of the cell, times the repeats.
    repeats = np.ceil((min_width - _ROUNDING) / perpendicular_widths(atoms)).astype(int)
    return atoms.repeat(np.maximum(repeats, 1))
