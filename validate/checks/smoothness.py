"""Jumps of energy and forces where an atom enters a neighbourhood.

Dense structures are used: in a dimer nothing else sees the atom that enters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from ase import Atoms

from m3compress.contract.evaluation import Evaluation
from m3compress.engines.conformance.crossings import (
    both_sides,
    energy_jump,
    find_crossing,
    force_jump,
)
from m3compress.validate.checks.building import Case, Check, on_structures
from m3compress.validate.checks.selection import Found, select
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.subject import Subject

_STRUCTURES: Final = 8


@dataclass(frozen=True, slots=True)
class _Place:
    """A structure and one of the cutoffs (Å).

    Attributes:
        name: Of both.
        atoms: The structure.
        cutoff: The cutoff.
    """

    name: str
    atoms: Atoms
    cutoff: float


def _places(context: Context, subject: Subject) -> tuple[_Place, ...]:
    # At least five atoms: others must be there to notice.
    structures = select(context, subject, most=_STRUCTURES, at_least=5, periodic=1)
    cutoffs = {"edges": subject.cutoff, "three-body": subject.three_body_cutoff}
    return tuple(
        _Place(f"{entry.name} ({name})", entry.atoms, cutoff)
        for entry in structures
        for name, cutoff in cutoffs.items()
    )


def _measure(size: Callable[[Evaluation, Evaluation], float], case: Case[_Place]) -> Found | None:
    crossing = find_crossing(case.entry.atoms, case.entry.cutoff, case.rng())
    if crossing is None:
        return None
    jump = size(*both_sides(case.subject, crossing))
    pair = f"{crossing.atoms.symbols[crossing.mover]} {crossing.mover}"
    return Found(jump, {"cutoff": case.entry.cutoff, "crossing_atom": pair})


_ABSENT: Final = "no pair of atoms is close to a cutoff"

CHECKS: Final[tuple[Check, ...]] = (
    on_structures(
        "smooth.cutoff-energy",
        "jump of the energy where an atom crosses a cutoff",
        partial(_measure, energy_jump),
        among=_places,
        absent=_ABSENT,
        on_reference=True,
    ),
    on_structures(
        "smooth.cutoff-force",
        "jump of forces where an atom crosses a cutoff",
        partial(_measure, force_jump),
        among=_places,
        absent=_ABSENT,
        on_reference=True,
    ),
)
