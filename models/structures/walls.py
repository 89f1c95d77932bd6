"""Atoms too close to each other: what teaches a student to keep them apart.

Trajectories never show them, so that a student without such frames may find atoms on top of each
other agreeable, and a hot simulation will find that out. Some teachers find it agreeable themselves
(CHGNet has Ti and O at 0.5 Å below 1 Å): that is not to be copied, see :func:`rising`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from m3compress.contract.neighbors import find_edges

#: Neighbours of an element are looked for within this distance (Å).
_SEARCH = 6.0
#: Neighbours that are at most so much farther than the nearest ones are as good.
_AS_NEAR = 1.1
#: Within this part of the sum of the covalent radii, energies rise as atoms come closer.
_ZONE = 0.8


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


class Pulled(NamedTuple):
    """A crystal in which two atoms were moved, and their distance in Å."""

    atoms: Atoms
    distance: float


def pulled_together(
    parent: Atoms, pair: tuple[str, str], wall: Wall, part: float, rng: np.random.Generator
) -> Pulled | None:
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
    return Pulled(atoms, wanted)


def begins(pair: tuple[str, str]) -> float:
    """Distance in Å within which two atoms are clearly too close: energies rise from here on."""
    return _ZONE * float(sum(covalent_radii[atomic_numbers[symbol]] for symbol in pair))


def rising(
    pair: tuple[str, str], distances: Sequence[float], energies: Sequence[float]
) -> list[bool]:
    """Which frames of two atoms that come closer are on a wall that rises, or outside of it.

    From where two atoms are clearly too close, energies must rise with every step towards each
    other; what is behind the first step down is a hole of the teacher.

    Args:
        pair: Elements of the two.
        distances: In Å, in any order.
        energies: In eV, of structures that differ by that distance.
    """
    zone = begins(pair)
    keep, highest, fell = [True] * len(distances), -math.inf, False
    for index in sorted(range(len(distances)), key=lambda index: -distances[index]):
        if distances[index] > zone:
            continue
        fell = fell or energies[index] <= highest
        highest = energies[index]
        keep[index] = not fell
    return keep
