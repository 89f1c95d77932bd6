"""Edges of a structure for the native core: bins here, the search in C++ (``edges.cpp``).

Atoms are put into the order of their bins along a Z curve, in which neighbours in space are
neighbours in memory however the caller numbers them.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from ase import Atoms

from m3compress.contract.arrays import BoolArray, FloatArray, IntArray
from m3compress.engines.base import ClosePair, Precision
from m3compress.engines.native.library import Bins, load_library
from m3compress.engines.native.system import CoreSystem
from m3compress.errors import StructureError

#: Å; closer atoms are a mistake.
SHORTEST: Final = 1e-3
_MOST_BINS: Final = 1024  # along an axis
_AT_ONCE: Final = 1 << 20  # edges that are judged


@dataclass(frozen=True, slots=True)
class FoundEdges:
    """A structure as the core reads it.

    Attributes:
        order: Atom of the caller in every row, shape (n_atoms,).
        system: Rows and edges.
    """

    order: IntArray
    system: CoreSystem

    def closest(self, limits: FloatArray | None) -> ClosePair | None:
        """The pair that is furthest below the limit of its elements, in the caller's numbers.

        Args:
            limits: Shortest distances in Å, shape (n_elements, n_elements); 0 for any.

        Returns:
            The pair; None where no atoms are closer than they may be.

        Raises:
            StructureError: If atoms coincide.
        """
        system, worst = self.system, None
        longest = 0.0 if limits is None else float(limits.max(initial=0.0))
        for first in range(0, len(system.neighbors), _AT_ONCE):
            vectors = system.vectors[first : first + _AT_ONCE]
            squared = np.einsum("ea,ea->e", vectors, vectors, dtype=np.float64)
            if squared.min() < SHORTEST**2:
                pair = self._pair(first + int(squared.argmin()), squared.min(), 0.0)
                raise StructureError(
                    f"atoms {pair.first} and {pair.second} (counting from 0) are "
                    f"{pair.distance:.6f} Å apart",
                    hint="remove duplicate atoms, or use a shorter time step",
                )
            near = np.flatnonzero(squared < longest**2)
            if limits is None or not len(near):
                continue
            centers = np.searchsorted(system.begins, first + near, side="right") - 1
            others = system.neighbors[first + near]
            bounds = limits[system.species[centers], system.species[others]] ** 2
            ratios = np.full(len(near), np.inf)
            np.divide(squared[near], bounds, out=ratios, where=bounds > 0)
            place = int(ratios.argmin())
            if ratios[place] < (worst.ratio if worst else 1.0):
                worst = self._pair(first + int(near[place]), squared[near[place]], ratios[place])
        return worst

    def _pair(self, edge: int, squared: float, ratio: float) -> ClosePair:
        center = int(np.searchsorted(self.system.begins, edge, side="right")) - 1
        ends = self.order[[center, self.system.neighbors[edge]]]
        return ClosePair(int(ends[0]), int(ends[1]), float(squared) ** 0.5, float(ratio))


def find_edges(
    atoms: Atoms, species: IntArray, cutoff: float, precision: Precision, threads: int
) -> FoundEdges:
    """All edges of a structure within the cutoff, images of an atom itself included.

    Args:
        atoms: A structure that :func:`~m3compress.contract.neighbors.check_structure` accepts.
        species: Position of every atom's element, shape (n_atoms,).
        cutoff: In Å.
        precision: Of the vectors.
        threads: Of the search.
    """
    grid = _Grid.of(atoms, cutoff)
    order, ranges = grid.sort()
    cell = grid.cell
    positions = np.ascontiguousarray(grid.fractions[order] @ cell)
    places = np.ascontiguousarray(grid.places[order])
    bins = Bins(
        *(len(atoms), positions.ctypes.data, places.ctypes.data, ranges.ctypes.data),
        (ctypes.c_double * 9)(*cell.ravel()),
        *((ctypes.c_int32 * 3)(*map(int, x)) for x in (grid.counts, grid.reach, grid.periodic)),
    )
    begins = np.zeros(len(atoms) + 1, np.int64)

    def search(neighbors: Any, vectors: Any) -> None:
        size = np.dtype(precision).itemsize
        arguments = (begins.ctypes.data, neighbors, vectors)
        load_library().m3c_edges(ctypes.byref(bins), cutoff, threads, size, *arguments)

    search(None, None)
    neighbors = np.empty(begins[-1], np.int32)
    vectors = np.empty((begins[-1], 3), precision)
    if len(neighbors):
        search(neighbors.ctypes.data, vectors.ctypes.data)
    return FoundEdges(
        order, CoreSystem(species[order].astype(np.int32), begins, neighbors, vectors)
    )


@dataclass(frozen=True, slots=True)
class _Grid:
    """Bins of about one cutoff.

    Attributes:
        cell: Lattice vectors in Å as rows, shape (3, 3); unit vectors where there are none.
        fractions: Positions in them, from 0 to 1 where it is periodic, shape (n_atoms, 3).
        places: Bin of every atom, shape (n_atoms, 3).
        counts: Bins along every axis.
        reach: Bins that are within the cutoff, on either side.
        periodic: Whether an axis is.
    """

    cell: FloatArray
    fractions: FloatArray
    places: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int32]
    reach: npt.NDArray[np.int32]
    periodic: BoolArray

    @classmethod
    def of(cls, atoms: Atoms, cutoff: float) -> _Grid:
        periodic = np.asarray(atoms.pbc)
        cell = np.array(atoms.cell.complete() if periodic.any() else np.eye(3), np.float64)
        inverse = np.linalg.inv(cell)
        fractions = atoms.positions @ inverse
        fractions[:, periodic] -= np.floor(fractions[:, periodic])
        low = np.where(periodic, 0.0, fractions.min(axis=0))
        heights = 1 / np.linalg.norm(inverse, axis=0)  # of the cell, in Å
        extent = np.where(periodic, 1.0, np.maximum(np.ptp(fractions, axis=0), 1e-9 / heights))
        lengths = extent * heights
        counts = np.clip(lengths // cutoff, 1, _MOST_BINS).astype(np.int32)
        while np.prod(counts, dtype=np.float64) > 4 * len(atoms) + 64:  # atoms are far apart
            counts[counts.argmax()] = (counts.max() + 1) // 2
        reach = np.ceil(cutoff * counts / lengths)
        reach = np.where(periodic, reach, np.minimum(reach, counts)).astype(np.int32)
        places = ((fractions - low) / extent * counts).astype(np.int32)
        return cls(cell, fractions, np.clip(places, 0, counts - 1), counts, reach, periodic)

    def sort(self) -> tuple[IntArray, npt.NDArray[np.int32]]:
        """Atoms in the order of a Z curve through the bins, and the range of those in each bin."""
        keys = np.zeros(len(self.places), np.int64)
        for bit in range(int(self.counts.max()).bit_length()):
            for axis in range(3):
                keys |= (self.places[:, axis].astype(np.int64) >> bit & 1) << (3 * bit + axis)
        order = np.argsort(keys, kind="stable")
        bins = np.ravel_multi_index(tuple(self.places[order].T), tuple(self.counts))
        ranges = np.zeros((int(np.prod(self.counts)), 2), np.int32)
        changes = np.flatnonzero(np.diff(bins, prepend=-1))
        ranges[bins[changes], 0] = changes
        ranges[bins[changes], 1] = np.append(changes[1:], len(bins))
        return order, ranges
