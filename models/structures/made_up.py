"""Bonds and crystals from covalent radii, for elements of which no crystal was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii

from m3compress.models.structures.frames import AT_REST, Named

#: Elements to show first, where the model knows them: common, solid, and of unlike sizes.
_FAMILIAR: Final = (
    *("Si", "O", "Na", "Cl", "Ti", "Mo", "Al", "Mg", "Fe", "Cu", "Zn", "S", "Ca", "F", "Li", "W"),
    *("Ga", "As", "B", "C", "N", "P", "K", "Ni", "Ge", "Se", "Ag", "Te", "Cs", "Pb", "La", "H"),
)
NOBLE: Final = ("He", "Ne", "Ar", "Kr", "Xe", "Rn", "Og")

#: Neighbours in a made-up crystal are never closer than this (Å): bond lengths of H or F are those
#: of molecules, and no model has seen an fcc crystal with them.
CLOSEST_IN_CRYSTAL: Final = 1.7
#: Nor is a bonded pair further apart than this part of the cutoff, or it would not be an edge.
FURTHEST_BOND: Final = 0.9
SHORTEST_DIMER: Final = 0.62  # Å


def telling_pair(elements: Sequence[str]) -> tuple[str, str]:
    """The two most familiar elements (twice the same where there is only one), the larger first."""
    familiar = [symbol for symbol in _FAMILIAR if symbol in elements]
    rest = sorted(set(elements) - {*familiar, *NOBLE}, key=atomic_numbers.__getitem__)
    noble = [symbol for symbol in NOBLE if symbol in elements]
    ranked = [*familiar, *rest, *noble]
    first, second = ranked[0], ranked[min(1, len(ranked) - 1)]
    return (first, second) if radius(first) >= radius(second) else (second, first)


def radius(symbol: str) -> float:
    """Covalent radius in Å."""
    return float(covalent_radii[atomic_numbers[symbol]])


def bond(a: str, b: str, cutoff: float) -> float:
    """Length of a bond in Å, from covalent radii, inside the cutoff."""
    return min(max(radius(a) + radius(b), SHORTEST_DIMER), FURTHEST_BOND * cutoff)


def spacing(a: str, b: str, cutoff: float) -> float:
    """Distance of neighbours in a made-up crystal in Å."""
    return min(max(bond(a, b, cutoff), CLOSEST_IN_CRYSTAL), FURTHEST_BOND * cutoff)


def made_up_crystals(elements: Sequence[str], cutoff: float) -> tuple[Named, ...]:
    """Six elemental and binary prototypes with neighbours at the sum of the covalent radii.

    Args:
        elements: At least one chemical symbol; the crystals are made of :func:`telling_pair`.
        cutoff: Cutoff of the edges in Å, which neighbours stay within.
    """
    a, b = telling_pair(elements)
    same, mixed = spacing(a, a, cutoff), spacing(a, b, cutoff)
    # (prototype, a cell to put the elements in, lattice constant in Å)
    prototypes = (
        ("fcc", "Cu", same * 2**0.5),
        ("rocksalt", "NaCl", mixed * 2),
        ("bcc", "Cu", same * 2 / 3**0.5),
        ("zincblende", "NaCl", mixed * 4 / 3**0.5),
        ("cesiumchloride", "NaCl", mixed * 2 / 3**0.5),
        ("fluorite", "CaF2", mixed * 4 / 3**0.5),
    )
    made = []
    for prototype, template, lattice_constant in prototypes:
        atoms = bulk(template, prototype, a=lattice_constant)
        atoms.symbols = [a] + [b] * (len(atoms) - 1)
        made.append(Named(f"made-up-{prototype}", atoms, kind="made-up", purpose=AT_REST))
    return tuple(made)
