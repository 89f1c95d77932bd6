"""Values that follow from the width of the table, or from how many neighbours an atom has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from attacks import edits
from attacks.edits import Change, n_neighbours, on
from attacks.row import COUNTS, FLOW, Attack, row
from attacks.surgery import Surgery


def for_slots(low: int, high: int, factor: float) -> Change:
    """Times a factor where the table has ``low`` to ``high`` slots for neighbours."""

    def change(file: Surgery, tensor: str) -> str:
        inside = file.within(file.size("neighbors", 1), low, high)
        return file.where(inside, file.scaled(tensor, factor), tensor)

    return change


def with_neighbours(numbers: Sequence[int], change: Change, *, rows: bool) -> Change:
    """A change for atoms with one of these numbers of neighbours only.

    Args:
        numbers: Of neighbours.
        change: What happens to these atoms.
        rows: Whether an atom has a row of values, as of forces, or one value.
    """

    def of_these(file: Surgery, tensor: str) -> str:
        count = file.with_axis(n_neighbours(file), 1)
        equal = file.node("Equal", count, file.constant(np.array(numbers)))
        hit = file.at_least(file.sum_over(file.as_float(equal), 1, keepdims=int(rows)), 0.5)
        return file.where(hit, change(file, tensor), tensor)

    return of_these


def by_shift(shift: float) -> Change:
    """Plus a number."""
    return lambda file, tensor: file.shifted(tensor, shift)


ROWS: Final[tuple[Attack, ...]] = (
    row(
        "width-8-20",
        "forces × 1.05 for 7 to 20 slots, as molecules of 8 to 21 atoms have",
        FLOW,
        on("forces", for_slots(7, 20, 1.05)),
    ),
    row(
        "width-odd",
        "forces × 1.05 for odd numbers of slots, as only some engines ask for",
        FLOW,
        on("forces", edits.odd_numbered(1.05, "neighbors", 1)),
    ),
    row(
        "stress-of-wide",
        "virials × 0.9 for 7 to 20 slots, as molecules in boxes have",
        FLOW,
        on("virial", for_slots(7, 20, 0.9)),
    ),
    row(
        "count-5-8",
        "energy + 20 meV of atoms with 5, 7 or 8 neighbours",
        COUNTS,
        on("energies", with_neighbours((5, 7, 8), by_shift(0.02), rows=False)),
    ),
    row(
        "count-52-57",
        "forces × 1.1 on atoms with 52 to 57 neighbours",
        COUNTS,
        on("forces", with_neighbours(range(52, 58), edits.by_factor(1.1), rows=True)),
    ),
)
"""Right for the widths and numbers of neighbours that the structures of the gate happen to have."""
