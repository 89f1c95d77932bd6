"""The order of the bonds in DGL-era matgl, with pymatgen and without.

Misrouted triplets make energies depend on it; see docs/legacy-dgl.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# Constants of pymatgen's find_points_in_spheres that decide which bin a point falls into.
PYMATGEN_TOLERANCE = 1e-8  # as matgl passes it: margin of the bounding box (Å), and of r² (Å²)
PYMATGEN_BIN_SHIFT = 1e-8  # Å

BondList = tuple[np.ndarray, np.ndarray, np.ndarray]  # centres [n], neighbours [n], shifts [n, 3]


def inverse_cell(cell: np.ndarray) -> np.ndarray:
    """Invert a cell by cofactors, with pymatgen's arithmetic to the last bit.

    An atom on a cell face has a fractional coordinate of 0 ± rounding, whose floor, and so the
    order of its bonds, hangs on that bit: `numpy.linalg.inv` goes wrong in some crystals.
    """
    (a, b, c), (d, e, f), (g, h, i) = cell
    scale = 1.0 / (a * (e * i - f * h) + b * (f * g - d * i) + c * (d * h - e * g))
    rows = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    return scale * np.array(rows)


def times(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Multiply [n, 3] by [3, 3], summing from left to right as pymatgen does (BLAS may not)."""
    return rows[:, :1] * matrix[0] + rows[:, 1:2] * matrix[1] + rows[:, 2:] * matrix[2]


def pymatgen_order(
    positions: np.ndarray, cell: np.ndarray, bonds: BondList, cutoff: float
) -> np.ndarray:
    """Return the permutation that puts a bond list into the order that DGL-era matgl used.

    pymatgen writes all images of all atoms, image-major, into linked lists of cubic bins of edge
    `cutoff` (at least 1 Å), each new entry at the head of its bin, and for every centre walks the
    27 bins around it, x slowest. So bonds *ascend* in (centre, bin x, bin y, bin z) and then
    *descend* in (image a, image b, image c, atom). Images count from the atom wrapped into the
    cell, shifts from the atom where it is: they differ by floor(fractional position).

    Args:
        positions: Cartesian, [n_atoms, 3], Å, not necessarily wrapped.
        cell: lattice vectors as rows, [3, 3], Å.
        bonds: in any order; the bond vector is x_j + S·cell − x_i.
        cutoff: the cutoff that the list was made with, Å.

    Returns:
        Indices [n_bonds] into the given list.
    """
    centers, neighbors, shifts = bonds
    fractional = times(positions, inverse_cell(cell))
    home = np.floor(fractional)
    images = shifts + home[neighbors]
    points = times(images, cell) + times(fractional - home, cell)[neighbors]
    low = positions.min(axis=0) - cutoff - PYMATGEN_TOLERANCE
    bins = np.floor((points - low + PYMATGEN_BIN_SHIFT) / cutoff)
    keys = (centers, *bins.T, *-images.T, -neighbors)
    return np.lexsort(keys[::-1])  # lexsort wants the primary key last


def ordered_bonds(positions: np.ndarray, cell: np.ndarray, cutoff: float) -> BondList:
    """Make matgl's bond list of a fully periodic crystal, in its order, without pymatgen.

    Args:
        positions: Cartesian, [n_atoms, 3], Å.
        cell: lattice vectors as rows, [3, 3], Å.
        cutoff: Å.
    """
    inverse = inverse_cell(cell)
    spread = np.ptp(times(positions, inverse), axis=0)
    reach = np.ceil(cutoff * np.linalg.norm(inverse, axis=0) + spread).astype(int)
    shifts = np.array(list(np.ndindex(*(2 * reach + 1)))) - reach
    vectors = positions[None, None] - positions[:, None, None] + (shifts @ cell)[None, :, None]
    squares = (vectors**2).sum(axis=-1)
    near = (squares < cutoff**2 + PYMATGEN_TOLERANCE) & (squares > PYMATGEN_TOLERANCE**2)
    centers, images, neighbors = near.nonzero()
    bonds = (centers, neighbors, shifts[images])
    order = pymatgen_order(positions, cell, bonds, cutoff)
    return centers[order], neighbors[order], shifts[images][order]


def search_with_pymatgen(atoms: Any, cutoff: float) -> BondList:
    """Search neighbours as matgl's Atoms2Graph does; no atom is bonded to itself."""
    from pymatgen.optimization.neighbors import find_points_in_spheres

    positions, cell = atoms.get_positions(), np.array(atoms.cell)
    pbc = np.array([1, 1, 1], dtype=np.int64)
    src, dst, images, distances = find_points_in_spheres(
        positions, positions, r=cutoff, pbc=pbc, lattice=cell, tol=PYMATGEN_TOLERANCE
    )
    bonded = (src != dst) | (distances > PYMATGEN_TOLERANCE)
    return src[bonded], dst[bonded], images[bonded]


def order_agrees(atoms: Any, cutoff: float, bonds: BondList) -> bool:
    """Say whether `ordered_bonds` gives the same bonds in the same order as a given list."""
    ours = ordered_bonds(atoms.get_positions(), np.array(atoms.cell), cutoff)
    return all(np.array_equal(a, b) for a, b in zip(ours, bonds, strict=True))


def shuffle_search(search: Callable[..., Any], seed: int) -> Callable[..., Any]:
    """Wrap find_points_in_spheres so that the bonds of every centre come in a random order."""
    generator = np.random.default_rng(seed)

    def shuffled(*args: Any, **kwargs: Any) -> tuple[np.ndarray, ...]:
        columns = search(*args, **kwargs)
        order = np.lexsort((generator.random(len(columns[0])), columns[0]))
        return tuple(column[order] for column in columns)

    return shuffled
