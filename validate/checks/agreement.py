"""How far a file is from what it should be, in units of what float32 rounding allows.

Energies of atoms are compared besides their sum, and the stress besides the forces: each is an
output of its own, and what only one of them shows is wrong all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from m3compress.contract.evaluation import Evaluation
from m3compress.export.draws import Draw
from m3compress.validate.checks.selection import Found, largest

if TYPE_CHECKING:
    from m3compress.export.parity import Limits, Quantity


@dataclass(frozen=True, slots=True)
class Sides:
    """What a file says of one structure, and what it should say.

    Attributes:
        atoms: The structure.
        ours: Of the file.
        expected: Of the same model in PyTorch, float64.
        draws: What float32 costs that model here; gone through for every output, as far as it
            matters.
        limits: What rounding may cost.
    """

    atoms: Atoms
    ours: Evaluation
    expected: Evaluation
    draws: Iterable[Draw]
    limits: Limits


def agreement(sides: Sides) -> dict[Quantity, Found]:
    """Error over tolerance of every output; no stress without a volume."""
    from m3compress.export.parity import differences

    found = differences(sides.atoms, sides.ours, sides.expected, sides.limits, sides.draws)
    return {
        name: Found(
            it.error / it.limit,
            {"quantity": name, "largest_difference": it.error, "tolerance": it.limit},
        )
        for name, it in found.items()
    }


def worst(sides: Sides) -> Found:
    """The output that is furthest off."""
    found = agreement(sides).values()
    one = max(found, key=lambda it: np.nan_to_num(it.value, nan=np.inf))
    return Found(largest(it.value for it in found), one.evidence)
