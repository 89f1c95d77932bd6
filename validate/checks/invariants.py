"""What may not change when nothing physical does: order, place, orientation, cell, repetition.

The same checks run on the reference, where they inform: trained models that misroute their
three-body block (matgl before 4.1) depend on the order of their atoms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from ase import Atoms

from m3compress.contract.evaluation import Evaluation
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.operations import (
    Deviation,
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
from m3compress.validate.checks.selection import Found, largest, roughened, select, worst_of
from m3compress.validate.result import Measurement, Tier
from m3compress.validate.setup.context import Check, Context
from m3compress.validate.setup.subject import Subject

_STRUCTURES: Final = 8
#: A change of forces (eV/Å) beyond any rounding: the model itself depends on the order.
_NOT_ROUNDING: Final = 1e-4
_REPEATS: Final = 3


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
    """

    id: str
    measures: str
    operation: Operation
    n_structures: int = _STRUCTURES
    at_least: int = 1
    periodic: int = 0
    remark: str = ""


_INVARIANCES: Final = (
    _Invariance(
        "inv.permutation",
        "change of forces when the same atoms are listed in another order",
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
    ),
    _Invariance("inv.net-force", "force on a structure as a whole, per atom", sum_forces),
)


def _as_check(invariance: _Invariance) -> Check:
    def run(context: Context, subject: Subject) -> Iterable[Measurement]:
        def measure(entry: Named, number: int) -> Found | None:
            base = subject.evaluate(entry.atoms)
            deviation = _apply(invariance, context, subject, entry.atoms, base, number)
            if deviation is None:
                return None
            beyond = invariance.remark and deviation.force > _NOT_ROUNDING
            remark = {"remark": invariance.remark} if beyond else {}
            evidence = {"max_force": _largest_force(base), "energy_change": deviation.energy}
            return Found(deviation.force, {**evidence, **remark})

        structures = select(
            context,
            subject,
            most=invariance.n_structures,
            at_least=invariance.at_least,
            periodic=invariance.periodic,
        )
        return worst_of(structures, measure, absent="no small structure is of that kind")

    return _check(invariance.id, invariance.measures, run)


def _check(
    name: str, measures: str, run: Callable[[Context, Subject], Iterable[Measurement]]
) -> Check:
    return Check(id=name, tier=Tier.INVARIANTS, measures=measures, run=run, on_reference=True)


def _apply(
    invariance: _Invariance,
    context: Context,
    subject: Subject,
    atoms: Atoms,
    base: Evaluation,
    number: int,
) -> Deviation | None:
    rng = np.random.default_rng([context.seed, number])
    return invariance.operation(subject, atoms, base, rng)


def _largest_force(result: Evaluation) -> float:
    return float(np.abs(result.forces).max(initial=0.0))


def measure_energy(context: Context, subject: Subject) -> Iterable[Measurement]:
    """Largest change of the energy per atom under any of the operations."""

    def measure(entry: Named, number: int) -> Found:
        base = subject.evaluate(entry.atoms)
        changes: dict[str, float] = {}
        for invariance in _INVARIANCES:
            if len(entry.atoms) >= invariance.at_least:
                deviation = _apply(invariance, context, subject, entry.atoms, base, number)
                if deviation is not None:
                    changes[invariance.id] = deviation.energy
        return Found(largest(changes.values()), {"operations": changes})

    # A third of the structures: the checks above have done the same on all of them for forces.
    structures = select(context, subject, most=3)
    return worst_of(structures, measure, absent="there is no small structure")


def measure_isolated_atoms(context: Context, subject: Subject) -> Iterable[Measurement]:
    """Energy of an atom alone against the reference's, and its force against zero."""
    reference = context.reference_subject
    shared = [symbol for symbol in subject.elements if symbol in reference.elements]

    def measure(entry: Named, number: int) -> Found:
        del number
        result, expected = subject.evaluate(entry.atoms), reference.evaluate(entry.atoms)
        evidence = {"energy": result.energy, "reference_energy": expected.energy}
        change = abs(result.energy - expected.energy)
        return Found(largest([change, _largest_force(result)]), evidence)

    atoms = tuple(Named(symbol, Atoms(symbol)) for symbol in shared)
    return worst_of(atoms, measure, absent="candidate and reference share no element")


def measure_determinism(context: Context, subject: Subject) -> Iterable[Measurement]:
    """Largest difference of repeated runs, with other structures in between."""

    def measure(entry: Named, number: int) -> Found:
        first = subject.evaluate(entry.atoms)
        nearby = roughened(entry.atoms, number)
        changes = []
        for _ in range(_REPEATS - 1):
            # What was evaluated before must not matter: engines keep tables of neighbours.
            subject.evaluate(nearby)
            again = subject.evaluate(entry.atoms)
            changes.append(np.abs(again.forces - first.forces).max(initial=0.0))
            changes.append(abs(again.energy - first.energy))
        return Found(largest(changes), {"runs": _REPEATS})

    return worst_of(select(context, subject, most=4), measure, absent="there is no small structure")


def measure_threads(context: Context, subject: Subject) -> Iterable[Measurement]:
    """Largest difference of forces between one thread and two, of an exported file.

    The number of threads of PyTorch is one for the whole process, and no property of a model.
    """
    if subject.spec.kind != "artefact":
        return (Measurement(skipped="the candidate is not a file"),)
    one, two = (subject.spec.with_threads(threads).open() for threads in (1, 2))

    def measure(entry: Named, number: int) -> Found:
        del number
        results = [opened.evaluate(entry.atoms) for opened in (one, two)]
        return Found(compare_forces(results[0].forces, results[1].forces))

    return worst_of(select(context, subject, most=4), measure, absent="there is no small structure")


CHECKS: Final[tuple[Check, ...]] = (
    *(_as_check(invariance) for invariance in _INVARIANCES),
    _check("inv.energy", "change of energy per atom under all of these", measure_energy),
    _check(
        "inv.isolated-atom",
        "energy of an isolated atom against the reference's, force against zero",
        measure_isolated_atoms,
    ),
    _check("inv.determinism", "difference between repeated runs", measure_determinism),
    Check(
        id="inv.threads",
        tier=Tier.INVARIANTS,
        measures="difference between one thread and two",
        run=measure_threads,
    ),
)
