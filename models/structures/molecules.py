"""Molecules and clusters in periodic boxes: bonds and angles shorter than those of any crystal.

Dimers are as short, and have no angle, no second neighbour and no volume. Needs neither torch nor
data files.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from ase import Atoms
from ase.build import molecule

from m3compress.models.structures import made_up
from m3compress.models.structures.frames import Named

#: Of the common ones each that a model knows all elements of.
_COMMON: Final = ("H2O", "NH3", "CH4", "CO2", "N2", "O3", "SiH4", "HCl")
_N_DRAWN: Final = 48
#: So many of the smallest elements, which have the shortest bonds, are in half of those drawn.
_N_SMALL: Final = 8
_SHORTEST_LEG: Final = 0.8  # Å
_SHORT: Final = 1.3  # Å
_BONDED: Final = (0.7, 1.3)  # of the sum of the covalent radii
_DIRECTIONS: Final = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
_BENT: Final = 0.25  # standard deviation of the components of a direction
#: Atoms of the clusters: between two of these, drawn anew for every seed.
_CLUSTERS: Final = (4, 6, 8, 10, 12, 14, 17, 20, 24, 29, 35, 42)
_JOLT: Final = 0.05  # Å


def molecules(
    elements: Sequence[str], *, cutoff: float, three_body_cutoff: float, seed: int
) -> tuple[Named, ...]:
    """Common molecules, and made-up ones of a centre with two to four legs.

    Legs are about as long as bonds, or short, or of any length from 0.8 Å to where triplets end.

    Args:
        elements: Chemical symbols that the model knows.
        cutoff: Cutoff of the edges in Å: no molecule sees its image.
        three_body_cutoff: Cutoff of the three-body block in Å.
        seed: Of elements, lengths, angles and displacements.
    """
    rng = np.random.default_rng([seed, len(elements)])
    common = [name for name in _COMMON if set(molecule(name).symbols) <= set(elements)]
    usable = [symbol for symbol in elements if symbol not in made_up.NOBLE] or list(elements)
    small = sorted(usable, key=made_up.radius)[:_N_SMALL]
    reach = min(cutoff, three_body_cutoff)
    found = [Named(name, _jolted(molecule(name), rng), "extreme", "a molecule") for name in common]
    for number in range(_N_DRAWN):
        pool = small if number % 2 else usable
        symbols = [str(symbol) for symbol in rng.choice(pool, 1 + rng.integers(2, 5))]
        atoms = _star(symbols, *_legs(symbols, reach)[number % 3], rng)
        found.append(Named(f"star-{number}", atoms, "extreme", "short bonds and their angles"))
    return tuple(_boxed(named, cutoff) for named in found)


def _star(
    symbols: Sequence[str], shortest: float, longest: float, rng: np.random.Generator
) -> Atoms:
    """An atom with legs of some lengths (Å) in about tetrahedral directions."""
    directions = rng.permutation(_DIRECTIONS)[: len(symbols) - 1]
    directions = directions + rng.normal(0.0, _BENT, directions.shape)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = rng.uniform(shortest, longest, len(directions))
    return Atoms(symbols, positions=[[0.0, 0.0, 0.0], *(lengths[:, None] * directions)])


def _legs(symbols: Sequence[str], reach: float) -> tuple[tuple[float, float], ...]:
    """Ranges of lengths in Å: about bonds, shorter than most of them, and of any length."""
    center, *others = symbols
    bond = made_up.radius(center) + float(np.mean([made_up.radius(other) for other in others]))
    furthest = made_up.FURTHEST_BOND * reach
    low, high = (float(np.clip(bond * part, _SHORTEST_LEG, furthest)) for part in _BONDED)
    return (low, high), (_SHORTEST_LEG, _SHORT), (_SHORTEST_LEG, reach)


def clusters(crystal: Atoms, *, cutoff: float, seed: int) -> tuple[Named, ...]:
    """Pieces of a crystal of 4 to 42 atoms: few neighbours, in every number.

    Args:
        crystal: Of which to take them.
        cutoff: Cutoff of the edges in Å: no piece sees its image.
        seed: Of sizes, places and displacements.
    """
    rng = np.random.default_rng([seed, len(crystal)])
    # Enough copies that a piece about the middle does not reach the surface.
    reach = (3 * _CLUSTERS[-1] / (4 * np.pi) * crystal.get_volume() / len(crystal)) ** (1 / 3)
    repeats = np.ceil(4 * reach / crystal.cell.lengths()).astype(int)
    whole = crystal.repeat(tuple(repeats))
    found = []
    for low, high in pairwise(_CLUSTERS):
        n_atoms = int(rng.integers(low, high))
        middle = whole.cell.sum(axis=0) / 2 + rng.uniform(-0.5, 0.5, 3) * crystal.cell.lengths()
        order = np.argsort(np.linalg.norm(whole.positions - middle, axis=1))
        piece = Atoms(whole.symbols[order[:n_atoms]], whole.positions[order[:n_atoms]])
        found.append(
            Named(f"cluster of {n_atoms}", _jolted(piece, rng), "extreme", "few neighbours")
        )
    return tuple(_boxed(named, cutoff) for named in found)


def _jolted(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    atoms.positions += rng.normal(0.0, _JOLT, atoms.positions.shape)
    return atoms


def _boxed(named: Named, cutoff: float) -> Named:
    """The same in a periodic box, in which it has a stress and sees no image."""
    atoms = named.atoms.copy()
    atoms.center(vacuum=0.55 * cutoff + 0.5)
    atoms.pbc = True
    return Named(named.name, atoms, named.kind, named.purpose)
