"""How close atoms come in the training domain of a model: one distance for each pair of elements.

A potential knows nothing of atoms closer than any that it was trained on. The distances are kept
in the manifest, so that whoever runs the file can tell when a simulation gets there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from m3compress.contract.arrays import FloatArray
from m3compress.contract.neighbors import find_edges

#: Longest distance (Å) that can be a closest approach; beyond, a file is garbled.
_LONGEST = 100.0


def pair_name(a: str, b: str) -> str:
    """Name of a pair of elements, the same in either order: ``O-Si``."""
    return "-".join(sorted((a, b)))


def shortest_distances(frames: Iterable[Atoms], cutoff: float) -> dict[str, float]:
    """Shortest distance of each pair of elements in any of the frames.

    Args:
        frames: Structures.
        cutoff: Pairs further apart than this (Å) are not looked for.

    Returns:
        Å by :func:`pair_name`, rounded down to 10⁻⁴ Å; pairs that never meet are left out.

    Raises:
        StructureError: If a frame is no structure.
    """
    shortest: dict[str, float] = {}
    for atoms in frames:
        edges, vectors = find_edges(atoms, cutoff)
        lengths = np.linalg.norm(vectors, axis=1)
        numbers = np.sort(atoms.numbers[np.stack([edges.centers, edges.neighbors])], axis=0)
        for a, b in np.unique(numbers, axis=1).T:
            name = pair_name(chemical_symbols[a], chemical_symbols[b])
            length = float(lengths[(numbers[0] == a) & (numbers[1] == b)].min())
            shortest[name] = min(math.floor(length * 1e4) / 1e4, shortest.get(name, math.inf))
    return dict(sorted(shortest.items()))


def merged(*known: Mapping[str, float]) -> dict[str, float]:
    """The shorter one of the distances of each pair."""
    names = sorted({name for one in known for name in one})
    return {name: min(one[name] for one in known if name in one) for name in names}


def problem_with(distances: Any, elements: Sequence[str]) -> str | None:
    """What is wrong with distances out of a file; None if they can be used."""
    if not isinstance(distances, Mapping):
        return f"shortest distances are {distances!r}, expected Å by pairs of elements"
    for name, length in distances.items():
        symbols = str(name).split("-")
        if len(symbols) != 2 or not set(symbols) <= set(elements) or symbols != sorted(symbols):
            return f"shortest distances are of {name!r}, which is no pair of elements of the model"
        if type(length) not in (int, float) or not 0 < length < _LONGEST:
            return f"the shortest distance of {name} is {length!r} Å"
    return None


def as_matrix(distances: Mapping[str, float], elements: Sequence[str]) -> FloatArray:
    """Shortest distances in Å by positions in ``elements``, shape (n_elements, n_elements).

    Pairs of which nothing is known have 0: nothing is closer.
    """
    matrix = np.zeros((len(elements), len(elements)))
    for (i, a), (j, b) in combinations_with_replacement(enumerate(elements), 2):
        matrix[i, j] = matrix[j, i] = distances.get(pair_name(a, b), 0.0)
    return matrix
