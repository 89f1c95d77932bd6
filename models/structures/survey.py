"""A survey of a model's elements: a crystal of each, random alloys of all, dimers of every pair.

A handful of atoms for each element, so that 89 of them cost seconds. Needs neither torch nor data
files.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement, pairwise
from typing import Final

import numpy as np
from ase import Atoms
from ase.build import bulk

from m3compress.contract.neighbors import find_edges
from m3compress.models.structures import made_up
from m3compress.models.structures.frames import Named
from m3compress.models.structures.zoo import rattled

SHORTEST: Final = 0.5  # Å, of dimers: closer than any trained model has seen
#: Twelve neighbours are further away than one: covalent radii are those of single bonds.
_LOOSER: Final = 0.6  # Å
_ALLOY_SIZE: Final = 16  # atoms
_ALLOY_ROUNDS: Final = 2  # every element is in that many alloys
_ALLOY_RATTLE: Final = 0.1  # Å
#: Few pairs are shown several times, at other lengths, to so many dimers of each third.
_LEAST_DIMERS: Final = 200
_IN_ONE_STRUCTURE: Final = 800  # dimers
_N_CROWDED: Final = 4  # elements


def element_crystals(elements: Sequence[str], *, cutoff: float, seed: int) -> tuple[Named, ...]:
    """A rattled crystal of every element: its own where ASE knows it, a made-up fcc one otherwise.

    Args:
        elements: Chemical symbols.
        cutoff: Cutoff of the edges in Å, which neighbours in made-up crystals stay within.
        seed: Of the displacements.
    """
    crystals = [
        _within(elemental(symbol) or _close_packed(symbol), made_up.FURTHEST_BOND * cutoff)
        for symbol in elements
    ]
    return tuple(
        Named(f"{symbol}-survey", rattled(atoms, seed + row), purpose=f"{symbol} among itself")
        for row, (symbol, atoms) in enumerate(zip(elements, crystals, strict=True))
    )


def elemental(symbol: str) -> Atoms | None:
    """The crystal that ASE knows for an element; None for gases and complicated ones."""
    try:
        return bulk(symbol)
    except (ValueError, KeyError, NotImplementedError, RuntimeError):
        return None


def _close_packed(symbol: str) -> Atoms:
    spacing = max(2 * made_up.radius(symbol) + _LOOSER, made_up.CLOSEST_IN_CRYSTAL)
    return bulk(symbol, "fcc", a=spacing * np.sqrt(2))


def _within(atoms: Atoms, reach: float) -> Atoms:
    """The crystal, compressed if its nearest neighbours are further apart than ``reach`` (Å)."""
    _, vectors = find_edges(atoms, 2 * reach)
    nearest = np.linalg.norm(vectors, axis=1).min()
    atoms.set_cell(atoms.cell * min(1.0, reach / nearest), scale_atoms=True)
    return atoms


def random_alloys(elements: Sequence[str], *, cutoff: float, seed: int) -> tuple[Named, ...]:
    """Rattled fcc cells of 16 atoms, of 16 elements where there are as many; each element in two.

    Args:
        elements: Chemical symbols.
        cutoff: Cutoff of the edges in Å, which neighbours stay within.
        seed: Of compositions and displacements.
    """
    rng = np.random.default_rng([seed, len(elements)])
    n_cells = -(-len(elements) // _ALLOY_SIZE)
    alloys: list[Named] = []
    for _ in range(_ALLOY_ROUNDS):
        # What is left of the last cell is filled from another drawing, with whatever comes.
        drawn = [str(symbol) for symbol in rng.permutation(elements)]
        while len(drawn) < n_cells * _ALLOY_SIZE:
            drawn += [str(symbol) for symbol in rng.permutation(elements)]
        for start in range(0, n_cells * _ALLOY_SIZE, _ALLOY_SIZE):
            symbols = drawn[start : start + _ALLOY_SIZE]
            atoms = _random_cell(symbols, cutoff, seed + len(alloys))
            alloys.append(Named(f"alloy-{len(alloys)}", atoms, "extreme", "elements among others"))
    return tuple(alloys)


def _random_cell(symbols: Sequence[str], cutoff: float, seed: int) -> Atoms:
    mean = 2 * float(np.mean([made_up.radius(symbol) for symbol in symbols]))
    spacing = min(max(mean, made_up.CLOSEST_IN_CRYSTAL), made_up.FURTHEST_BOND * cutoff)
    atoms = bulk("Cu", "fcc", a=spacing * np.sqrt(2), cubic=True).repeat((2, 2, 1))
    atoms.symbols = symbols
    return rattled(atoms, seed, width=_ALLOY_RATTLE)


def crowded_cell(elements: Sequence[str], *, cutoff: float, n_neighbors: int, seed: int) -> Atoms:
    """Four of the smallest elements packed so densely that each has that many neighbours.

    Args:
        elements: Chemical symbols.
        cutoff: Cutoff of the edges in Å.
        n_neighbors: About how many atoms are within the cutoff of each, its own images included.
        seed: Of the displacements.

    Returns:
        A rattled cubic cell of 8 atoms.
    """
    usable = [symbol for symbol in elements if symbol not in made_up.NOBLE] or list(elements)
    smallest = sorted(usable, key=made_up.radius)[:_N_CROWDED]
    volume = 4 / 3 * np.pi * cutoff**3 / n_neighbors  # per atom
    cell = bulk("Cu", "fcc", a=(4 * volume) ** (1 / 3), cubic=True)
    cell.symbols = [smallest[k % len(smallest)] for k in range(len(cell))]
    return rattled(cell, seed)


def dimers_of_all_pairs(elements: Sequence[str], *, cutoff: float, seed: int) -> tuple[Named, ...]:
    """Dimers of every pair, each very short, bonded and long, hundreds of them in one empty space.

    No atom sees one of another dimer: the energies of the atoms tell the dimers apart, and
    thousands cost what some hundred atoms of a crystal do. Atoms 2k and 2k + 1 belong together.

    Args:
        elements: Chemical symbols.
        cutoff: Cutoff of the edges in Å: no dimer is longer, and none shorter than 0.5 Å.
        seed: Of distances, orders and directions.
    """
    rng = np.random.default_rng([seed, len(elements)])
    once = np.array(list(combinations_with_replacement(sorted(elements), 2)))
    pairs = np.tile(once, (-(-_LEAST_DIMERS // len(once)), 1))
    edges = (SHORTEST, 1.0, 0.5 * cutoff, cutoff)
    lengths = [rng.uniform(low, high, len(pairs)) for low, high in pairwise(edges)]
    dimers = list(zip(np.tile(pairs, (len(lengths), 1)), np.concatenate(lengths), strict=True))
    parts = np.array_split(rng.permutation(len(dimers)), -(-len(dimers) // _IN_ONE_STRUCTURE))
    return tuple(
        Named(
            f"dimers-{number}",
            dimers_apart([dimers[row] for row in part], cutoff=cutoff, rng=rng),
            "extreme",
            "every pair of elements, far from all others",
        )
        for number, part in enumerate(parts)
    )


def dimers_apart(
    dimers: Sequence[tuple[Sequence[str], float]], *, cutoff: float, rng: np.random.Generator
) -> Atoms:
    """Dimers in random directions about the points of a grid, more than a cutoff apart.

    Args:
        dimers: The two chemical symbols and the length in Å of each.
        cutoff: Cutoff of the edges in Å.
        rng: Of directions and of which atom comes first.
    """
    side = int(np.ceil(len(dimers) ** (1 / 3)))
    points = np.stack(np.unravel_index(np.arange(len(dimers)), (side,) * 3), axis=-1)
    centers = 2.1 * cutoff * points
    directions = rng.normal(size=(len(dimers), 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    halves = directions * np.array([length for _, length in dimers])[:, None] / 2
    symbols = np.array([rng.permutation(pair) for pair, _ in dimers]).ravel()
    positions = np.stack([centers - halves, centers + halves], axis=1).reshape(-1, 3)
    return Atoms([str(symbol) for symbol in symbols], positions=positions)
