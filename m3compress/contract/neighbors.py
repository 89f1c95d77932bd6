"""Edges of a structure and the padded tables that the exported graph reads; numpy only, no torch.

An edge i→j with periodic image S has the vector r_ij = x_j + S·cell − x_i. Edges are sorted by
centre i, then neighbour j, then image, so that the same structure always gives the same tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from ase import Atoms

from m3compress.contract.arrays import BoolArray, FloatArray, FloatingArray, IntArray
from m3compress.contract.cells import periodic_widths, refuse_singular, refuse_tiny
from m3compress.contract.search import NeighborList
from m3compress.errors import StructureError

#: Two atoms closer than this are taken for a mistake in the structure, in Å.
COINCIDENT_DISTANCE = 1e-3
#: An atom with a coordinate beyond is lost, in Å. Neighbouring doubles differ by 2e-9 Å there; at
#: 1e8 Å, by more than the 1e-8 Å that differences of energies can stand.
FARTHEST: Final = 1e7
#: vesin counts cells in 32 bits, silently: 2e9 at most.
_MOST_CELLS_AWAY: Final = 1e8


@dataclass(frozen=True, slots=True)
class Edges:
    """Directed edges of one structure, sorted by centre.

    Attributes:
        centers: Index i of every edge, shape (n_edges,).
        neighbors: Index j of every edge, shape (n_edges,).
        images: Periodic image S of j in units of the cell rows, shape (n_edges, 3).
        n_atoms: Number of atoms.
    """

    centers: IntArray
    neighbors: IntArray
    images: IntArray
    n_atoms: int

    def vectors(self, positions: FloatArray, cell: FloatArray) -> FloatArray:
        """r_ij in Å, shape (n_edges, 3), for positions (n_atoms, 3) and cell rows (3, 3)."""
        return positions[self.neighbors] - positions[self.centers] + self.images @ cell

    def select(self, chosen: BoolArray | IntArray) -> Edges:
        """The edges where ``chosen`` (n_edges,) is true, or of these numbers, in this order."""
        return Edges(
            self.centers[chosen], self.neighbors[chosen], self.images[chosen], self.n_atoms
        )


def check_structure(atoms: Atoms) -> None:
    """Refuse what has no meaningful energy.

    Raises:
        StructureError: For no atoms, positions or cell that are not finite, a cell that is singular
            along a periodic direction or too small for its atoms, or an atom that is lost.
    """
    if len(atoms) == 0:
        raise StructureError("the structure has no atoms")
    if not np.isfinite(atoms.positions).all():
        bad = int(np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))[0])
        raise StructureError(
            f"the position of atom {bad} (counting from 0) is not finite: {atoms.positions[bad]}",
            atoms=(bad,),
        )
    if not np.isfinite(atoms.cell.array).all():
        raise StructureError("the cell holds values that are not finite")
    refuse_singular(atoms, atoms.pbc)
    # First: a slab is as thick as its atoms are apart, and one that is lost makes any cell roomy.
    _refuse_lost(atoms, FARTHEST)
    refuse_tiny(atoms)
    if atoms.pbc.any():
        _refuse_lost(atoms, _MOST_CELLS_AWAY * float(periodic_widths(atoms).min()))


def _refuse_lost(atoms: Atoms, farthest: float) -> None:
    """Refuse atoms so far away (Å) that distances, or the numbers of their images, are wrong."""
    if np.abs(atoms.positions).max() <= farthest:
        return
    lost = int(np.abs(atoms.positions).max(axis=1).argmax())
    raise StructureError(
        f"atom {lost} (counting from 0) is lost: it is at {atoms.positions[lost].tolist()} Å, "
        f"expected within {farthest:.3g} Å of the origin",
        hint="is the simulation unstable? An unwrapped trajectory is brought back by atoms.wrap()",
        atoms=(lost,),
    )


def find_edges(atoms: Atoms, cutoff: float) -> tuple[Edges, FloatArray]:
    """All edges of ``atoms`` within ``cutoff`` (Å), self-images included.

    Returns:
        The edges and their vectors in Å, shape (n_edges, 3).

    Raises:
        StructureError: As :func:`check_structure`, and for two atoms in the same place.
    """
    check_structure(atoms)
    cell = np.asarray(atoms.cell.complete() if atoms.pbc.any() else np.eye(3), dtype=np.float64)
    positions = np.ascontiguousarray(atoms.positions, dtype=np.float64)
    pbc = np.asarray(atoms.pbc, dtype=bool)
    search = NeighborList(cutoff=cutoff, full_list=True)
    i, j, shifts = search.compute(
        points=positions, box=cell, periodic=pbc if pbc.any() else False, quantities="ijS"
    )
    order = np.lexsort((shifts[:, 2], shifts[:, 1], shifts[:, 0], j, i))
    edges = Edges(
        i[order].astype(np.int64),
        j[order].astype(np.int64),
        shifts[order].astype(np.int64),
        len(atoms),
    )
    vectors = edges.vectors(positions, cell)
    _refuse_coincident(edges, vectors)
    return edges, vectors


def _refuse_coincident(edges: Edges, vectors: FloatArray) -> None:
    if not len(vectors):
        return
    lengths = np.linalg.norm(vectors, axis=1)
    closest = int(np.argmin(lengths))
    i, j = int(edges.centers[closest]), int(edges.neighbors[closest])
    refuse_closer(i, j, float(lengths[closest]))


def refuse_closer(i: int, j: int, length: float, where: str = "") -> None:
    """Refuse two atoms, or an atom and an image, that are in the same place.

    Args:
        i: One of them, counted from 0.
        j: The other.
        length: Their distance in Å.
        where: What else is to be said of the distance.

    Raises:
        StructureError: If they are.
    """
    if length < COINCIDENT_DISTANCE:
        raise StructureError(
            f"atoms {i} and {j} (counting from 0) are {length:.1e} Å apart{where}",
            hint="remove duplicate atoms, for instance with ase.geometry.get_duplicate_atoms",
            atoms=(i, j),
        )


@dataclass(frozen=True, slots=True)
class NeighborTable:
    """The padded, centre-major form of the edges: every atom has K slots.

    Attributes:
        neighbors: Neighbour j in every slot, shape (n_atoms, K); 0 in padded slots.
        mask: True where a slot holds an edge, shape (n_atoms, K).
        incoming: For every atom, the flat slots (center · K + slot) that point at it, shape
            (n_atoms, K_in); 0 where padded.
        incoming_mask: True where ``incoming`` holds a slot, shape (n_atoms, K_in).
        flat_slots: Flat slot of every edge in the order of the edge list, shape (n_edges,).
    """

    neighbors: IntArray
    mask: BoolArray
    incoming: IntArray
    incoming_mask: BoolArray
    flat_slots: IntArray

    def pad(self, values: FloatingArray, dtype: npt.DTypeLike) -> FloatingArray:
        """Spread per-edge values (n_edges, ...) over the slots (n_atoms, K, ...), else zero."""
        n_atoms, width = self.mask.shape
        padded = np.zeros((n_atoms * width, *values.shape[1:]), dtype=dtype)
        padded[self.flat_slots] = values
        return padded.reshape(n_atoms, width, *values.shape[1:])


def build_table(edges: Edges, *, multiple_of: int = 1) -> NeighborTable:
    """Lay edges out in padded tables.

    Args:
        edges: Edges sorted by centre.
        multiple_of: K and K_in are rounded up to a multiple of this, so that shapes repeat in MD.

    Returns:
        The tables; K and K_in are at least 1, so that no axis is ever empty.
    """
    n_atoms = edges.n_atoms
    out_slot, n_out = _slots_in_rows(edges.centers, n_atoms)
    width = _round_up(int(n_out.max(initial=0)), multiple_of)
    flat = edges.centers * width + out_slot
    neighbors = np.zeros(n_atoms * width, dtype=np.int64)
    neighbors[flat] = edges.neighbors
    mask = np.arange(width) < n_out[:, None]

    by_target = np.argsort(edges.neighbors, kind="stable")
    in_slot, n_in = _slots_in_rows(edges.neighbors[by_target], n_atoms)
    width_in = _round_up(int(n_in.max(initial=0)), multiple_of)
    incoming = np.zeros(n_atoms * width_in, dtype=np.int64)
    incoming[edges.neighbors[by_target] * width_in + in_slot] = flat[by_target]
    incoming_mask = np.arange(width_in) < n_in[:, None]
    return NeighborTable(
        neighbors=neighbors.reshape(n_atoms, width),
        mask=mask,
        incoming=incoming.reshape(n_atoms, width_in),
        incoming_mask=incoming_mask,
        flat_slots=flat,
    )


def _slots_in_rows(rows: IntArray, n_rows: int) -> tuple[IntArray, IntArray]:
    """Position of every entry inside its row, and the row lengths, for rows sorted ascending."""
    counts = np.bincount(rows, minlength=n_rows)
    starts = np.cumsum(counts) - counts
    return np.arange(len(rows)) - starts[rows], counts


def _round_up(value: int, multiple_of: int) -> int:
    return max(1, -(-value // multiple_of)) * multiple_of
