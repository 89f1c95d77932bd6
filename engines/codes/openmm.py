"""OpenMM: an exported file as a force, and a system with nothing else in it.

OpenMM counts in nm, ps, kJ/mol and daltons; its boxes have the first vector along x and the second
in the plane of x and y, and are skewed by half a vector at most: see :func:`reduced`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import openmm
from ase import Atoms, units

from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluator
from m3compress.engines.codes.boxes import turned
from m3compress.engines.evaluator import ArtefactEvaluator
from m3compress.errors import StructureError

#: Å of a nanometre, and kJ/mol of an eV.
ANGSTROMS_PER_NM: Final = 10.0
KILOJOULES_PER_EV: Final = 1.0 / (units.kJ / units.mol)
#: kJ/mol/nm of an eV/Å.
FORCE: Final = KILOJOULES_PER_EV * ANGSTROMS_PER_NM


class Callback:
    """What OpenMM asks for energy and forces; copies and XML hold the path of the file.

    Args:
        evaluator: Such as an exported file.
        numbers: Atomic numbers of the particles, shape (n_atoms,).
        periodic: Whether the box of OpenMM counts.
    """

    def __init__(self, evaluator: Evaluator, numbers: Sequence[int], *, periodic: bool) -> None:
        self._evaluator = evaluator
        self._numbers = list(map(int, numbers))
        self._periodic = periodic

    def __call__(self, state: openmm.State) -> tuple[float, FloatArray]:
        """Energy in kJ/mol, and forces in kJ/mol/nm, shape (n_atoms, 3).

        Raises:
            StructureError: If the structure has no meaningful energy; OpenMM passes it on.
        """
        nanometer = openmm.unit.nanometer
        positions = state.getPositions(asNumpy=True).value_in_unit(nanometer)
        atoms = Atoms(self._numbers, np.array(positions) * ANGSTROMS_PER_NM, pbc=self._periodic)
        if self._periodic:
            box = state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(nanometer)
            atoms.set_cell(np.array(box) * ANGSTROMS_PER_NM)
        found = self._evaluator.evaluate(atoms)
        return found.energy * KILOJOULES_PER_EV, found.forces * FORCE


def force(
    model: str | Path | Evaluator,
    numbers: Sequence[int],
    *,
    periodic: bool,
    particles: Sequence[int] | None = None,
    **options: Any,
) -> openmm.PythonForce:
    """The model as a force.

    Args:
        model: An exported file, or an evaluator.
        numbers: Atomic numbers of the particles it acts on.
        periodic: Whether these are periodic with the box of OpenMM, in all directions.
        particles: Indices of the particles it acts on, as if there were no others; None for all.
        **options: Of :class:`~m3compress.engines.evaluator.ArtefactEvaluator`, such as
            ``threads``.

    Raises:
        ArtefactError: If the file cannot be opened.
        StructureError: If the model does not know one of the elements.
    """
    evaluator = ArtefactEvaluator(model, **options) if isinstance(model, str | Path) else model
    _refuse_unknown(evaluator, numbers)
    made = openmm.PythonForce(Callback(evaluator, numbers, periodic=periodic))
    made.setUsesPeriodicBoundaryConditions(periodic)
    if particles is not None:
        made.setParticles(list(map(int, particles)))
    return made


def system(model: str | Path | Evaluator, atoms: Atoms, **options: Any) -> openmm.System:
    """A system of particles on which nothing but the model acts.

    Args:
        model: An exported file, or an evaluator.
        atoms: Elements, masses and box; their positions go to the context, in nm.
        **options: As those of :func:`force`.

    Raises:
        ArtefactError: If the file cannot be opened.
        StructureError: If the model does not know an element, or OpenMM cannot have such a box.
    """
    periodic = _is_periodic(atoms)
    if periodic and not _is_reduced(atoms.cell.array):
        raise StructureError(
            f"OpenMM cannot have the box {atoms.cell.array.tolist()}: it wants the first vector "
            "along x, the second in the plane of x and y, neither skewed by more than a half",
            hint="m3compress.engines.codes.openmm.reduced(atoms) turns the same crystal so",
        )
    made = openmm.System()
    for mass in atoms.get_masses():
        made.addParticle(float(mass))
    if periodic:
        made.setDefaultPeriodicBoxVectors(*(atoms.cell.array / ANGSTROMS_PER_NM))
    made.addForce(force(model, atoms.numbers, periodic=periodic, **options))
    return made


def reduced(atoms: Atoms) -> tuple[Atoms, FloatArray]:
    """The same crystal as OpenMM wants it: turned, in the least skewed cell.

    Args:
        atoms: Periodic in all directions or in none.

    Returns:
        A copy, and the matrix Q that turned it, shape (3, 3): vectors v became v Qᵀ.

    Raises:
        StructureError: If it is periodic in some directions only.
    """
    return turned(atoms) if _is_periodic(atoms) else (atoms.copy(), np.eye(3))


def _is_periodic(atoms: Atoms) -> bool:
    if atoms.pbc.any() and not atoms.pbc.all():
        raise StructureError(
            f"OpenMM is periodic in all directions or in none, got pbc={atoms.pbc.tolist()}",
            hint="for a slab set pbc to True, with more than a cutoff of vacuum",
        )
    return bool(atoms.pbc.all())


def _is_reduced(box: FloatArray) -> bool:
    half = 0.5 + 1e-6
    return bool(
        np.allclose(np.triu(box, 1), 0.0, atol=1e-9)
        and (np.diag(box) > 0).all()
        and abs(box[1, 0]) <= half * box[0, 0]
        and abs(box[2, 0]) <= half * box[0, 0]
        and abs(box[2, 1]) <= half * box[1, 1]
    )


def _refuse_unknown(evaluator: Evaluator, numbers: Sequence[int]) -> None:
    """Say so when the system is made, not when it is run."""
    from m3compress.engines.tables.verlet import species_of

    species_of(Atoms(list(map(int, numbers))), evaluator.elements)
