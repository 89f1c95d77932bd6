"""What may not change when nothing physical does: order, place, orientation, cell, repetition.

The same checks run on the reference, where they inform: trained models that misroute their
three-body block (matgl before 4.1) depend on the order of their atoms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from ase import Atoms

from m3compress.contract.evaluation import Evaluation
from m3compress.engines.conformance.operations import (
    Operation,
    compare_forces,
    invert,
    move_far_atoms,
    permute,
    reorder_neighbors,
    repeat,
    rotate,
    separate,
    skew_cell,
    sum_forces,
    translate,
    wrap,
)
from m3compress.engines.evaluator import ArtefactEvaluator
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.building import Case, Check, on_structures
from m3compress.validate.checks.rounding import energy_tolerance, force_tolerance, same_measure
from m3compress.validate.checks.selection import Found, largest, roughened, select
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.recall import recall
from m3compress.validate.setup.subject import Subject

_STRUCTURES: Final = 8
#: A change of forces (eV/Å) beyond any rounding: the model itself depends on the order.
_NOT_ROUNDING: Final = 1e-4
#: An energy (eV) that the rounding of an isolated atom may be off by in any model.
_ALONE: Final = 2e-5
_REPEATS: Final = 3
#: Structures in a batch besides the first and the one that is looked at.
_BESIDE: Final = 3


@dataclass(frozen=True, slots=True)
class _Invariance:
    """An operation and what it needs.

    Attributes:
        id: Identifier of its check.
        measures: What the check measures.
        operation: The operation.
        n_structures: On how many structures.
        at_least: Smallest number of atoms.
        periodic: Smallest number of periodic directions.
        remark: Added to the evidence if the change is beyond any rounding.
        tolerance: What rounding may do; None where there is nothing to round.
    """

    id: str
    measures: str
    operation: Operation
    n_structures: int = _STRUCTURES
    at_least: int = 1
    periodic: int = 0
    remark: str = ""
    tolerance: Callable[[Context, Sequence[Named]], float] | None = force_tolerance


_INVARIANCES: Final = (
    _Invariance(
        "inv.permutation",
        "change of forces and energies (eV) of atoms when they are listed in another order",
        permute,
        at_least=2,
        remark="the energy depends on the order of the atoms, and not by rounding: "
        "trained models that misroute their triplets (matgl before 4.1) do this",
    ),
    _Invariance(
        "inv.neighbor-order",
        "change of forces when neighbours are listed in another order",
        reorder_neighbors,
        at_least=2,
        remark="the energy depends on the order of the neighbours, and not by rounding: "
        "trained models that misroute their triplets (matgl before 4.1) do this",
    ),
    _Invariance("inv.translation", "change of forces when everything is moved", translate),
    _Invariance("inv.rotation", "change of forces, turned back, when everything is turned", rotate),
    _Invariance(
        "inv.inversion", "change of forces, turned back, in the mirrored structure", invert
    ),
    _Invariance(
        "inv.wrapping",
        "change of forces when atoms are moved by lattice vectors",
        wrap,
        periodic=1,
    ),
    _Invariance("inv.supercell", "change of forces when the cell is doubled", repeat, periodic=1),
    _Invariance(
        "inv.equivalent-cell",
        "change of forces when other vectors span the same lattice",
        skew_cell,
        periodic=2,
    ),
    _Invariance(
        "inv.additivity",
        "forces of two clusters beyond the cutoff, against each alone",
        separate,
        n_structures=4,
    ),
    _Invariance(
        "inv.locality",
        "change of an atom's energy (eV) and force when an atom out of its sight moves",
        move_far_atoms,
        n_structures=3,
        periodic=1,
        tolerance=None,
    ),
    _Invariance(
        "inv.net-force", "force on a structure as a whole, per atom", sum_forces, tolerance=None
    ),
)


def _change(invariance: _Invariance, case: Case[Named]) -> Found | None:
    """Largest change of a force under an operation."""
    base = case.subject.evaluate(case.entry.atoms)
    deviation = invariance.operation(case.subject, case.entry.atoms, base, case.rng())
    if deviation is None:
        return None
    beyond = invariance.remark and deviation.force > _NOT_ROUNDING
    remark = {"remark": invariance.remark} if beyond else {}
    evidence = {"max_force": _largest_force(base), "energy_change": deviation.energy}
    return Found(deviation.force, {**evidence, **remark})


def _largest_force(result: Evaluation) -> float:
    return float(np.abs(result.forces).max(initial=0.0))


def _energy_change(case: Case[Named]) -> Found:
    """Largest change of the energy per atom under any of the operations."""
    subject, atoms = case.subject, case.entry.atoms
    base = subject.evaluate(atoms)
    changes: dict[str, float] = {}
    for invariance in _INVARIANCES:
        if len(atoms) >= invariance.at_least:
            deviation = invariance.operation(subject, atoms, base, case.rng())
            if deviation is not None:
                changes[invariance.id] = deviation.energy
    return Found(largest(changes.values()), {"operations": changes})


def _shared_atoms(context: Context, subject: Subject) -> tuple[Named, ...]:
    known = context.reference_subject.elements
    return tuple(Named(symbol, Atoms(symbol)) for symbol in subject.elements if symbol in known)


def _isolated_atom(case: Case[Named]) -> Found:
    """Energy of an atom alone against the reference's, and its force against zero."""
    result = case.subject.evaluate(case.entry.atoms)
    expected = case.context.reference_subject.evaluate(case.entry.atoms)
    evidence = {"energy": result.energy, "reference_energy": expected.energy}
    change = abs(result.energy - expected.energy)
    return Found(largest([change, _largest_force(result)]), evidence)


def _repeated(case: Case[Named]) -> Found:
    """Largest difference of repeated runs, with other structures in between."""
    subject, atoms = case.subject, case.entry.atoms
    first = subject.evaluate(atoms)
    nearby = roughened(atoms, case.number)
    changes = []
    for _ in range(_REPEATS - 1):
        # What was evaluated before must not matter: engines keep tables of neighbours.
        subject.evaluate(nearby)
        again = subject.evaluate(atoms)
        changes.append(np.abs(again.forces - first.forces).max(initial=0.0))
        changes.append(abs(again.energy - first.energy))
    return Found(largest(changes), {"runs": _REPEATS})


def _not_a_file(context: Context, subject: Subject) -> str | None:
    """PyTorch has one number of threads for the whole process: it is no property of a model."""
    del context
    return None if subject.spec.kind == "artefact" else "the candidate is not a file"


def _between_threads(case: Case[Named]) -> Found:
    """Largest difference of forces between one thread and two, of an exported file."""
    one, two = (_on_threads(case, threads).evaluate(case.entry.atoms) for threads in (1, 2))
    return Found(compare_forces(one.forces, two.forces))


def _on_threads(case: Case[Named], threads: int) -> Subject:
    spec = case.subject.spec.with_threads(threads)
    return recall(case.context, case.subject, ("threads", threads), spec.open)


def _in_a_batch(case: Case[Named]) -> Found | None:
    """Largest change of a force or of an atom's energy when a structure is evaluated with others.

    A batch has more atoms and more slots than each of its structures, and its tables are made in
    another way. Only files are evaluated so.
    """
    subject, atoms = case.subject, case.entry.atoms
    if not isinstance(subject, ArtefactEvaluator):
        return None
    first, *others = (named.atoms for named in case.context.zoo[: 1 + _BESIDE])
    alone, together = subject.evaluate(atoms), subject.evaluate_all([first, atoms, *others])[1]
    changes = [together.forces - alone.forces, together.energies - alone.energies]
    if alone.virials is not None and together.virials is not None:
        changes.append(together.virials - alone.virials)
    return Found(largest(float(np.abs(change).max(initial=0.0)) for change in changes))


CHECKS: Final[tuple[Check, ...]] = (
    *(
        on_structures(
            invariance.id,
            invariance.measures,
            partial(_change, invariance),
            among=partial(
                select,
                most=invariance.n_structures,
                at_least=invariance.at_least,
                periodic=invariance.periodic,
            ),
            absent="no small structure is of that kind",
            tolerance=invariance.tolerance,
            on_reference=True,
        )
        for invariance in _INVARIANCES
    ),
    on_structures(
        "inv.energy",
        "change of energy per atom under all of these",
        _energy_change,
        # A third of the structures: the checks above have done the same on all of them for forces.
        among=partial(select, most=3),
        tolerance=energy_tolerance,
        on_reference=True,
    ),
    on_structures(
        "inv.isolated-atom",
        "energy of an isolated atom against the reference's, force against zero",
        _isolated_atom,
        among=_shared_atoms,
        tolerance=same_measure(_isolated_atom, _ALONE),
        absent="candidate and reference share no element",
        on_reference=True,
    ),
    on_structures(
        "inv.determinism",
        "difference between repeated runs",
        _repeated,
        among=partial(select, most=4),
        on_reference=True,
    ),
    on_structures(
        "inv.threads",
        "difference between one thread and two",
        _between_threads,
        among=partial(select, most=4),
        unless=_not_a_file,
    ),
    on_structures(
        "inv.batch",
        "change of forces, energies and virials of atoms in a batch of structures",
        _in_a_batch,
        among=partial(select, most=_STRUCTURES),
        absent="only files are evaluated in batches",
        tolerance=force_tolerance,
    ),
)
