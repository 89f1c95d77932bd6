"""Which frames are worth a label: those with atoms in surroundings that were never shown.

Surroundings are compared by how many neighbours of each element are at which distance, and how
lopsided they are: cheap, and enough to tell what is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from ase import Atoms

from m3compress.contract.arrays import FloatArray
from m3compress.contract.neighbors import find_edges

#: Distances (Å) from this on are told apart, by Gaussians as wide as they are apart.
_NEAREST: Final = 0.8
_N_SHELLS: Final = 8
#: Atoms of different elements are farther from each other than any surroundings.
_OTHER_ELEMENT: Final = 100.0


def surroundings(frame: Atoms, elements: Sequence[str], cutoff: float) -> FloatArray:
    """What each atom has around it, shape (n_atoms, n_elements · 16 + n_elements).

    Args:
        frame: A structure.
        elements: Chemical symbols that occur in any of the frames to compare.
        cutoff: How far to look in Å.
    """
    edges, vectors = find_edges(frame, cutoff)
    rows = np.array([elements.index(symbol) for symbol in frame.symbols])
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    centers, step = np.linspace(_NEAREST, cutoff, _N_SHELLS, retstep=True)
    taper = np.cos(np.pi * lengths / (2 * cutoff)) ** 2
    shells = taper * np.exp(-((lengths - centers) ** 2) / (2 * step**2))
    shape = (len(frame), len(elements), _N_SHELLS)
    counts, pulls = np.zeros(shape), np.zeros((*shape, 3))
    where = (edges.centers, rows[edges.neighbors])
    np.add.at(counts, where, shells)
    np.add.at(pulls, where, shells[:, :, None] * (vectors / lengths)[:, None, :])
    own = _OTHER_ELEMENT * np.eye(len(elements))[rows]
    lopsided = np.linalg.norm(pulls, axis=-1)
    parts = [part.reshape(len(frame), -1) for part in (counts, lopsided)]
    return np.concatenate([*parts, own], axis=1)


def most_novel(
    candidates: Sequence[FloatArray],
    groups: Sequence[int],
    known: FloatArray,
    n_frames: int,
    most_per_group: int,
) -> list[int]:
    """Frames whose strangest atom is strangest, each compared with those chosen before it, too.

    Args:
        candidates: Surroundings of every frame to choose from.
        groups: What each of them belongs to.
        known: Surroundings of what was shown already.
        n_frames: How many to choose at most.
        most_per_group: How many of one group: an explosion is not to take them all.

    Returns:
        Indices of frames, the most novel first.
    """
    distances = [_nearest(frame, known) for frame in candidates]
    left = set(range(len(candidates)))
    taken = dict.fromkeys(groups, 0)
    chosen: list[int] = []
    while left and len(chosen) < n_frames:
        best = max(sorted(left), key=lambda index: float(distances[index].max()))
        left.discard(best)
        if taken[groups[best]] >= most_per_group:
            continue
        taken[groups[best]] += 1
        chosen.append(best)
        for index in left:
            distances[index] = np.minimum(
                distances[index], _nearest(candidates[index], candidates[best])
            )
    return chosen


def _nearest(points: FloatArray, others: FloatArray) -> FloatArray:
    """Distance of each point to the nearest of the others, shape (n_points,).

    One matrix product: a search tree is slower in so many dimensions.
    """
    squares = (points**2).sum(1)[:, None] + (others**2).sum(1) - 2 * points @ others.T
    nearest: FloatArray = np.sqrt(np.maximum(squares.min(axis=1), 0.0))
    return nearest
