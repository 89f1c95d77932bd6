"""Atoms in the same place, found without a list of neighbours: cells may be of any width."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from m3compress.contract.cells import periodic_cell
from m3compress.contract.neighbors import refuse_closer


def refuse_coincident(atoms: Atoms) -> None:
    """Refuse two atoms in the same place, periodic images included.

    Args:
        atoms: A structure that :func:`~m3compress.contract.neighbors.check_structure` accepts.

    Raises:
        StructureError: Naming two of them.
    """
    from scipy.spatial import cKDTree

    if len(atoms) < 2:
        return
    cell = periodic_cell(atoms)
    inverse = np.linalg.inv(cell)
    # Along the normals of the faces, atoms that are close are close in every coordinate.
    widths = 1 / np.linalg.norm(inverse, axis=0)
    heights = atoms.positions @ inverse * widths
    wrapped = np.where(atoms.pbc, np.mod(heights, widths), heights)
    wrapped = np.where(atoms.pbc & (wrapped >= widths), 0.0, wrapped)  # for rounding
    tree = cKDTree(wrapped, boxsize=np.where(atoms.pbc, widths, 0.0))
    _, nearest = tree.query(wrapped, k=2, p=np.inf)
    own = np.arange(len(atoms))
    # Of two in the same place, either may be found first.
    other = np.where(nearest[:, 0] == own, nearest[:, 1], nearest[:, 0])
    apart = (heights[other] - heights) / widths
    images = np.where(atoms.pbc, np.round(apart), 0.0)
    lengths = np.linalg.norm((apart - images) @ cell, axis=1)
    closest = int(lengths.argmin())
    across = ", across the boundary of the cell" if images[closest].any() else ""
    i, j = sorted((closest, int(other[closest])))
    refuse_closer(i, j, float(lengths[closest]), across)
