"""Atoms too close to each other: what teaches a student to keep them apart.

Trajectories never show them, so that a student without such frames may find atoms on top of each
other agreeable, and a hot simulation will find that out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from ase import Atoms

from m3compress.contract.neighbors import find_edges

#: Neighbours of an element are looked for within this distance (Å).
_SEARCH = 6.0
#: Neighbours that are at most so much farther than the nearest ones are as good.
_AS_NEAR = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wall:
    """How far crystals are compressed, and pairs of atoms in them pulled together.

    Attributes:
        shortest: Shortest distance of a pair in Å.
        longest: Longest one, as a part of the distance in the crystal.
        volumes: Largest and smallest volume of a compressed crystal, as a part of its own.
        rattle: Standard deviation of displacements of a compressed crystal in Å.
    """

    shortest: float = 0.5
    longest: float = 0.9
    volumes: tuple[float, float] = (0.9, 0.45)
    rattle: float = 0.03

    def draws(
        self, elements: Sequence[str], n_frames: int
    ) -> Iterator[tuple[tuple[str, str], float]]:
        """Pairs of elements in turn, each from the shortest distance (0) to the longest (1)."""
        pairs = list(combinations_with_replacement(elements, 2))
        rounds = max(2, -(-n_frames // len(pairs)))
        for number in range(n_frames):
            turn, which = divmod(number, len(pairs))
            yield pairs[which], turn / (rounds - 1)


def compressed(parent: Atoms, part: float, rattle: float, rng: np.random.Generator) -> Atoms:
    """A copy with ``part`` of the volume, slightly rattled.

    Args:
        parent: A crystal.
        part: Fraction of its volume.
        rattle: Standard deviation of the displacements in Å.
        rng: Source of randomness.
    """
    atoms = parent.copy()
    atoms.set_cell(atoms.cell.array * part ** (1 / 3), scale_atoms=True)
    atoms.positions += rng.normal(0, rattle, atoms.positions.shape)
    return atoms


def pulled_together(
    parent: Atoms, pair: tuple[str, str], wall: Wall, part: float, rng: np.random.Generator
) -> Atoms | None:
    """A copy in which two neighbours of these elements are moved towards each other.

    Args:
        parent: A crystal.
        pair: Their elements.
        wall: Between which distances.
        part: Where between them, in their logarithm: 0 the shortest, 1 the longest.
        rng: Chooses one of the nearest pairs.

    Returns:
        None if the crystal has no such neighbours, or they are that close already.
    """
    edges, vectors = find_edges(parent, _SEARCH)
    symbols = np.array(parent.symbols)
    ends = (symbols[edges.centers] == pair[0]) & (symbols[edges.neighbors] == pair[1])
    lengths = np.linalg.norm(vectors, axis=1)
    # An atom and its own image cannot be moved towards each other.
    usable = np.flatnonzero(ends & (edges.centers != edges.neighbors))
    if not usable.size:
        return None
    nearest = float(lengths[usable].min())
    longest = wall.longest * nearest
    if longest <= wall.shortest:
        return None
    chosen = int(rng.choice(usable[lengths[usable] <= _AS_NEAR * nearest]))
    wanted = wall.shortest ** (1 - part) * longest**part
    atoms = parent.copy()
    move = vectors[chosen] * (1 - wanted / lengths[chosen]) / 2
    atoms.positions[edges.centers[chosen]] += move
    atoms.positions[edges.neighbors[chosen]] -= move
    return atoms
