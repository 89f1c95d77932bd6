"""The neighbour table of a moving structure, updated at every step and searched only when needed.

Edges are searched within cutoff + skin. As long as no atom has moved more than half the skin
since, every pair within the cutoff is in that list; a step then only recomputes vectors and drops
the pairs beyond the cutoff. Everything is done on whole arrays: a few milliseconds for 2000 atoms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.data import atomic_numbers

from m3compress.contract.arrays import BoolArray, Float32Array, FloatArray, FloatingArray, IntArray
from m3compress.contract.neighbors import COINCIDENT_DISTANCE, Edges, NeighborTable, find_edges
from m3compress.contract.tables import TableInputs
from m3compress.errors import StructureError


def species_of(atoms: Atoms, elements: Sequence[str]) -> IntArray:
    """Position of every atom's element in ``elements``, shape (n_atoms,).

    Raises:
        StructureError: If an element is not among them.
    """
    rows = np.full(max(atomic_numbers.values()) + 1, -1, dtype=np.int64)
    rows[[atomic_numbers[symbol] for symbol in elements]] = np.arange(len(elements))
    species: IntArray = rows[np.clip(atoms.numbers, 0, len(rows) - 1)]
    if (species < 0).any():
        atom = int(np.flatnonzero(species < 0)[0])
        listed = ", ".join(elements) if len(elements) <= 12 else f"{len(elements)} other elements"
        raise StructureError(
            f"the model does not know {atoms.symbols[atom]} (atom {atom}, counting from 0); "
            f"it knows {listed}",
            hint="use a model that was trained on this element",
        )
    return species


@dataclass(frozen=True, slots=True)
class _Search:
    """Edges within cutoff + skin of the structure as it was at the last search.

    Attributes:
        edges: Sorted by centre.
        offsets: Image vectors S·cell in Å, one contiguous row per component, shape (3, n_edges).
        by_target: Order that sorts the edges by neighbour and keeps it otherwise, shape (n_edges,).
        positions: Of the atoms at the search in Å, shape (n_atoms, 3).
        numbers: Atomic numbers, shape (n_atoms,).
        cell: Cell rows in Å, shape (3, 3).
        pbc: Periodic directions, shape (3,).
    """

    edges: Edges
    offsets: FloatArray
    by_target: IntArray
    positions: FloatArray
    numbers: IntArray
    cell: FloatArray
    pbc: BoolArray

    def holds(self, atoms: Atoms, reach: float) -> bool:
        """Whether no atom moved further than ``reach`` (Å) and all else is the same.

        Displacements are not wrapped: an atom that is moved by a lattice vector has other image
        indices, so it counts as moved.
        """
        if len(atoms) != len(self.numbers) or not np.array_equal(atoms.numbers, self.numbers):
            return False
        if not (np.array_equal(atoms.cell, self.cell) and np.array_equal(atoms.pbc, self.pbc)):
            return False
        moved = atoms.positions - self.positions
        # A comparison with NaN is false, so that the search gets to refuse such positions.
        return bool(np.einsum("ij,ij->i", moved, moved).max() <= reach * reach)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The table of the edges that ``keep`` selects; used again while the selection is the same.

    Attributes:
        keep: Which edges of the search are in the table, shape (n_edges,).
        source: Edge in every slot, n_edges in padded ones, shape (n_atoms · K,).
        table: The table.
        mask: ``table.mask`` as numbers.
        incoming_mask: ``table.incoming_mask`` as numbers.
    """

    keep: BoolArray
    source: IntArray
    table: NeighborTable
    mask: Float32Array
    incoming_mask: Float32Array


class VerletTable:
    """Neighbour tables of one structure along a trajectory.

    Args:
        cutoff: Cutoff of the edges in Å.
        skin: Extra radius of the search in Å; 0 searches whenever something moved.
        multiple_of: K and K_in are rounded up to a multiple of this, so that shapes repeat.
        dtype: Of the edge vectors.

    Attributes:
        n_searches: How often edges have been searched.
    """

    def __init__(
        self,
        cutoff: float,
        skin: float = 0.5,
        *,
        multiple_of: int = 2,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if not (cutoff > 0 and skin >= 0 and multiple_of >= 1):
            raise ValueError(f"bad table: cutoff={cutoff}, skin={skin}, multiple_of={multiple_of}")
        self.cutoff = cutoff
        self.skin = skin
        self.multiple_of = multiple_of
        self.dtype = dtype
        self.n_searches = 0
        self._search: _Search | None = None
        self._layout: _Layout | None = None

    def update(self, atoms: Atoms, species: IntArray) -> TableInputs:
        """Tables of the structure as it is now.

        Args:
            atoms: The structure; any difference from the last call is allowed.
            species: See :func:`species_of`, shape (n_atoms,).

        Raises:
            StructureError: For no atoms, values that are not finite, a singular cell, or two atoms
                in the same place.
        """
        search = self._search
        if search is None or not search.holds(atoms, self.skin / 2):
            # Forgotten first, so that a structure that is refused leaves nothing half-updated.
            self._search = self._layout = None
            search = self._search = self._find(atoms)
        vectors, squared = _vectors(search, atoms.positions)
        _refuse_overlap(search.edges, squared)
        keep = squared < self.cutoff * self.cutoff
        layout = self._layout
        if layout is None or not np.array_equal(keep, layout.keep):
            layout = self._layout = _lay_out(search, keep, self.multiple_of)
        return TableInputs(
            species=species,
            neighbors=layout.table.neighbors,
            mask=layout.mask,
            edge_vectors=_pad_vectors(layout, vectors, self.dtype),
            incoming=layout.table.incoming,
            incoming_mask=layout.incoming_mask,
        )

    def _find(self, atoms: Atoms) -> _Search:
        edges, _ = find_edges(atoms, self.cutoff + self.skin)
        self.n_searches += 1
        cell = np.array(atoms.cell, dtype=np.float64)
        return _Search(
            edges=edges,
            offsets=np.ascontiguousarray((edges.images @ cell).T),
            by_target=np.argsort(edges.neighbors, kind="stable"),
            positions=atoms.positions.copy(),
            numbers=atoms.numbers.copy(),
            cell=cell,
            pbc=np.array(atoms.pbc),
        )


def _vectors(search: _Search, positions: FloatArray) -> tuple[FloatArray, FloatArray]:
    """r_ij in Å, one contiguous row per component (3, n_edges), and |r_ij|² (n_edges,)."""
    edges = search.edges
    vectors = np.empty_like(search.offsets)
    squared = np.zeros(len(edges.centers))
    for axis in range(3):
        # One-dimensional gathers are several times faster than gathers of rows of three.
        x = np.ascontiguousarray(positions[:, axis])
        np.subtract(x.take(edges.neighbors), x.take(edges.centers), out=vectors[axis])
        vectors[axis] += search.offsets[axis]
        squared += vectors[axis] * vectors[axis]
    return vectors, squared


def _refuse_overlap(edges: Edges, squared: FloatArray) -> None:
    if not squared.size:
        return
    closest = int(squared.argmin())
    if squared[closest] < COINCIDENT_DISTANCE**2:
        i, j = int(edges.centers[closest]), int(edges.neighbors[closest])
        raise StructureError(
            f"atoms {i} and {j} (counting from 0) are {squared[closest] ** 0.5:.1e} Å apart",
            hint="the simulation has broken down: use a shorter time step or relax the start first",
        )


def _lay_out(search: _Search, keep: BoolArray, multiple_of: int) -> _Layout:
    """The table of the kept edges, equal to ``build_table(edges.select(keep))``.

    The order by neighbour is filtered out of that of the whole list: sorting at every step would
    take longer than all the rest.
    """
    edges, n_atoms = search.edges, search.edges.n_atoms
    kept = np.flatnonzero(keep)
    centers, neighbors = edges.centers.take(kept), edges.neighbors.take(kept)
    flat, n_out, width = _slots(centers, n_atoms, multiple_of)
    slot_of_edge = np.zeros(len(keep), dtype=np.int64)
    slot_of_edge[kept] = flat
    arriving = search.by_target[keep.take(search.by_target)]
    flat_in, n_in, width_in = _slots(edges.neighbors.take(arriving), n_atoms, multiple_of)

    table_neighbors = np.zeros(n_atoms * width, dtype=np.int64)
    table_neighbors[flat] = neighbors
    incoming = np.zeros(n_atoms * width_in, dtype=np.int64)
    incoming[flat_in] = slot_of_edge.take(arriving)
    table = NeighborTable(
        neighbors=table_neighbors.reshape(n_atoms, width),
        mask=np.arange(width) < n_out[:, None],
        incoming=incoming.reshape(n_atoms, width_in),
        incoming_mask=np.arange(width_in) < n_in[:, None],
        flat_slots=flat,
    )
    source = np.full(n_atoms * width, len(keep), dtype=np.int64)
    source[flat] = kept
    return _Layout(
        keep, source, table, table.mask.astype(np.float32), table.incoming_mask.astype(np.float32)
    )


def _slots(rows: IntArray, n_rows: int, multiple_of: int) -> tuple[IntArray, IntArray, int]:
    """Flat slot of every entry, entries per row, and row width, for rows sorted ascending."""
    counts = np.bincount(rows, minlength=n_rows)
    width = max(1, -(-int(counts.max(initial=0)) // multiple_of)) * multiple_of
    shift = np.arange(n_rows) * width - (np.cumsum(counts) - counts)
    return np.arange(len(rows)) + shift.take(rows), counts, width


def _pad_vectors(layout: _Layout, vectors: FloatArray, dtype: npt.DTypeLike) -> FloatingArray:
    """Kept vectors (3, n_edges) in their slots, shape (n_atoms, K, 3); zero in padded slots.

    Differences are taken in float64 and rounded last: positions far from the origin lose nothing.
    """
    padded = np.empty((layout.source.size, 3), dtype=dtype)
    rounded = np.zeros(vectors.shape[1] + 1, dtype=dtype)
    for axis in range(3):
        rounded[:-1] = vectors[axis]
        padded[:, axis] = rounded.take(layout.source)
    return padded.reshape(*layout.mask.shape, 3)
