"""Are forces and stress the derivatives of the energy, and is the energy smooth?"""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np

from m3compress.engines.conformance.derivatives import force_errors, virial_errors
from m3compress.models.structures.frames import Named
from m3compress.validate.checks import scans, smoothness
from m3compress.validate.checks.building import Case, Check, on_structures
from m3compress.validate.checks.rounding import same_measure
from m3compress.validate.checks.selection import Found, largest, select

#: Relative errors of this size are rounding in any model: a few draws may all be small by luck.
_FORCE_FLOOR: Final = 2e-4
_STRESS_FLOOR: Final = 5e-4
_FORCE_STRUCTURES: Final = 6
_STRESS_STRUCTURES: Final = 12


def measure_forces(case: Case[Named]) -> Found | None:
    """Largest relative error of a force."""
    subject, atoms, rng = case.subject, case.entry.atoms, case.rng()
    forces = subject.evaluate(atoms).forces
    errors = force_errors(subject, atoms, forces, rng)
    evidence = {"max_force": float(np.abs(forces).max()), "directions": len(errors)}
    return Found(largest(errors), evidence) if errors else None


def measure_stress(case: Case[Named]) -> Found | None:
    """Largest relative error of the virial."""
    subject, atoms, rng = case.subject, case.entry.atoms, case.rng()
    virial = subject.evaluate(atoms).virial
    errors = virial_errors(subject, atoms, virial, rng)
    evidence = {"max_virial": float(np.abs(virial).max()), "strains": len(errors)}
    return Found(largest(errors), evidence) if errors else None


CHECKS: Final[tuple[Check, ...]] = (
    on_structures(
        "grad.forces",
        "forces against differences of the energy",
        measure_forces,
        among=partial(select, most=_FORCE_STRUCTURES),
        absent="every displacement crosses a cutoff",
        tolerance=same_measure(measure_forces, _FORCE_FLOOR),
    ),
    on_structures(
        "grad.stress",
        "stress against differences of the energy",
        measure_stress,
        among=partial(select, most=_STRESS_STRUCTURES, at_least=1, periodic=3),
        absent="no small periodic structure is clear of cutoffs",
        tolerance=same_measure(measure_stress, _STRESS_FLOOR),
    ),
    *smoothness.CHECKS,
    *scans.CHECKS,
)
