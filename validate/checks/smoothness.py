"""Jumps of energy and forces where an atom enters a neighbourhood.

Dense structures are used: in a dimer nothing else sees the atom that enters. Some trained models
have a kink at the cutoff, and without their three-body block another one: a file must show that of
the trained model in its own form, the twin, and no larger one than the reference. Where forces are
large, as in crystals that nobody trained a student on, float32 makes jumps of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
from ase import Atoms

from m3compress.contract.evaluation import Evaluation
from m3compress.engines.conformance.crossings import (
    Crossing,
    both_sides,
    energy_jump,
    find_crossing,
    force_jump,
)
from m3compress.validate.checks.building import Case, Check, on_structures
from m3compress.validate.checks.rounding import MULTIPLE, rounded_subject
from m3compress.validate.checks.selection import Found, select
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.recall import recall, twin_of
from m3compress.validate.setup.subject import Subject

_STRUCTURES: Final = 8
_Sides = tuple[Evaluation, Evaluation]


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
    reference = context.reference_subject
    cutoffs = {"edges": reference.cutoff, "three-body": reference.three_body_cutoff}
    return tuple(
        _Place(f"{entry.name} ({name})", entry.atoms, cutoff)
        for entry in structures
        for name, cutoff in cutoffs.items()
    )


def _excess(size: Callable[[Evaluation, Evaluation], float], case: Case[_Place]) -> Found | None:
    """How far a jump is from none, or from one that the model is known for, whichever is nearer."""
    crossing = find_crossing(case.entry.atoms, case.entry.cutoff, case.rng())
    if crossing is None:
        return None
    ours, theirs = (
        _jump(case.context, subject, case.entry.name, crossing)
        for subject in (case.subject, case.context.reference_subject)
    )
    own, expected = size(*ours), size(*theirs)
    pair = f"{crossing.atoms.symbols[crossing.mover]} {crossing.mover}"
    evidence = {"cutoff": case.entry.cutoff, "crossing_atom": pair, "jump": own}
    if case.subject is case.context.reference_subject:
        return Found(own, evidence)
    twin = twin_of(case.context)
    known = theirs if twin is None else _jump(case.context, twin, case.entry.name, crossing)
    # The whole jump is compared, forces of all atoms: one in another direction, or of other atoms,
    # does not hide behind the known one. A form that jumps more than the reference is at fault.
    beyond = _beyond(size, ours, known)
    rounded = _jump(case.context, rounded_subject(case.context), case.entry.name, crossing)
    rounding = MULTIPLE * _beyond(size, rounded, known)
    excess = np.fmin(own, np.maximum(beyond, own - expected)) - rounding
    evidence |= {"jump_of_reference": expected, "rounding": rounding}
    return Found(float(np.maximum(excess, 0.0)), evidence)


def _jump(context: Context, subject: Subject, place: str, crossing: Crossing) -> _Sides:
    return recall(context, subject, ("jump", place), lambda: both_sides(subject, crossing))


def _beyond(size: Callable[[Evaluation, Evaluation], float], jump: _Sides, known: _Sides) -> float:
    return size(_without(jump[0], known[0]), _without(jump[1], known[1]))


def _without(result: Evaluation, other: Evaluation) -> Evaluation:
    return replace(result, energy=result.energy - other.energy, forces=result.forces - other.forces)


_ABSENT: Final = "no pair of atoms is close to a cutoff"

CHECKS: Final[tuple[Check, ...]] = (
    on_structures(
        "smooth.cutoff-energy",
        "jump of the energy where an atom crosses a cutoff",
        partial(_excess, energy_jump),
        among=_places,
        absent=_ABSENT,
        on_reference=True,
    ),
    on_structures(
        "smooth.cutoff-force",
        "jump of forces where an atom crosses a cutoff",
        partial(_excess, force_jump),
        among=_places,
        absent=_ABSENT,
        on_reference=True,
    ),
)
