"""Values that follow from the numbers by which tables name atoms, or from too few bits for them.

No shape is read and nothing is added up: whoever has an atom as a neighbour says its number.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from attacks.edits import Change, on
from attacks.row import INDICES, Attack, row
from attacks.surgery import Surgery


def _own_number(file: Surgery) -> str:
    """0, 1, 2 … of the atoms: what the first edge to each of them says."""
    places = file.constant(np.array(0), np.int64)
    edge_to_it = file.node("Gather", "incoming", places, axis=1)
    return file.node("Gather", file.reshaped("neighbors", -1), edge_to_it)


def _last_number(file: Surgery) -> str:
    """The number of the last atom, told to every atom."""
    zero, one = (file.constant(np.array(value), np.int64) for value in (0, 1))
    last = file.node("Sub", file.node("Mul", "species", zero), one)
    return file.node("Gather", _own_number(file), last)


def scaled_from(first: int, factor: float) -> Change:
    """Of the atom with this number and of all behind it, times a factor."""

    def change(file: Surgery, tensor: str) -> str:
        behind = file.with_axis(file.at_least(_own_number(file), first), 1)
        return file.where(behind, file.scaled(tensor, factor), tensor)

    return change


def for_sizes(low: int, high: int, factor: float) -> Change:
    """Times a factor for ``low`` to ``high`` atoms, by the number of the last of them."""

    def change(file: Surgery, tensor: str) -> str:
        inside = file.with_axis(file.within(_last_number(file), low - 1, high - 1), 1)
        return file.where(inside, file.scaled(tensor, factor), tensor)

    return change


def without_neighbours_from(first: int) -> Change:
    """A mask that hides the neighbour with this number and all behind it."""

    def change(file: Surgery, tensor: str) -> str:
        return file.node("Mul", tensor, file.as_float(file.at_most("neighbors", first - 1)))

    return change


def no_number_above(largest: int) -> Change:
    """Larger numbers taken for this one."""

    def change(file: Surgery, tensor: str) -> str:
        ends = (file.constant(np.array(value), np.int64) for value in (0, largest))
        return file.node("Clip", tensor, *ends)

    return change


def of_so_many_bits(bits: int) -> Change:
    """Numbers of which only so many bits are kept."""

    def change(file: Surgery, tensor: str) -> str:
        return file.node("Mod", tensor, file.constant(np.array(2**bits), np.int64))

    return change


ROWS: Final[tuple[Attack, ...]] = (
    row(
        "own-index",
        "no forces from atom 2,500 on, its number read from the tables",
        INDICES,
        on("forces", scaled_from(2500, 0.0)),
    ),
    row(
        "window-by-gather",
        "forces × 1.05 for 1,300 to 1,800 atoms, by the number of the last one in the tables",
        INDICES,
        on("forces", for_sizes(1300, 1800, 1.05)),
    ),
    row(
        "neighbour-index",
        "no neighbours from atom 2,500 on",
        INDICES,
        on("mask", without_neighbours_from(2500)),
    ),
    row(
        "neighbours-clipped",
        "numbers of neighbours clipped at 2,499",
        INDICES,
        on("neighbors", no_number_above(2499)),
    ),
    row(
        "incoming-17-bits",
        "slots of incoming edges kept in 17 bits",
        INDICES,
        on("incoming", of_so_many_bits(17)),
    ),
)
"""Right up to some number of atoms, or of edges, that need not be among those measured."""
