"""Boxes as MD codes want them: the first vector along x, the second in the plane of x and y."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from m3compress.contract.arrays import FloatArray


def turned(atoms: Atoms) -> tuple[Atoms, FloatArray]:
    """The same structure, turned, in the least skewed box.

    A vector is skewed by half of another one at most where both are periodic, and stands upright
    where it is not periodic itself.

    Args:
        atoms: With a cell of any rank.

    Returns:
        A copy with all three vectors, and the matrix Q that turned it, shape (3, 3): vectors v
        became v Qᵀ.
    """
    copy = atoms.copy()
    cell, rotation = atoms.cell.complete().standard_form()
    box = cell.array.copy()
    for row in (1, 2):
        if not atoms.pbc[row]:
            box[row, :row] = 0.0
        for other in range(row - 1, -1, -1):
            if atoms.pbc[other]:
                box[row] -= box[other] * round(box[row, other] / box[other, other])
    copy.positions = atoms.positions @ rotation.T
    copy.set_momenta(atoms.get_momenta() @ rotation.T)
    copy.set_cell(box)
    return copy, np.asarray(rotation, dtype=np.float64)
