"""Frames that carry what a teacher says about them."""

from __future__ import annotations

from typing import Final

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluator
from m3compress.contract.teacher import ask
from m3compress.errors import StructureError

#: Columns of a frame: a direction, and the Hessian times it in eV/Å².
DIRECTION: Final = "direction"
CURVATURE: Final = "curvature"
#: Root mean square displacement of a component in Å. The error of the difference is of its square,
#: and noise of forces in float32 (1e-5 eV/Å) becomes a thousandth of an eV/Å².
_STEP: Final = 0.01


def label(teacher: Evaluator, atoms: Atoms) -> Atoms:
    """A bare copy with the teacher's energy (eV), forces (eV/Å) and stress (eV/Å³).

    Energies of atoms (eV) are there where the teacher tells them.

    Args:
        teacher: Anything that evaluates.
        atoms: A structure with a cell; the copy is periodic along all three axes.

    Raises:
        StructureError: If the teacher cannot evaluate it, or an answer is not finite.
    """
    frame = Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=True)
    found = ask(teacher, frame, frame.get_chemical_formula())
    told = {"energies": found.energies} if np.isfinite(found.energies).all() else {}
    frame.calc = SinglePointCalculator(
        frame, energy=found.energy, forces=found.forces, stress=found.stress(frame), **told
    )
    return frame


def curve(teacher: Evaluator, frame: Atoms, rng: np.random.Generator) -> None:
    """Add to a labelled frame a random direction v, and the Hessian times v: −∂F/∂x · v.

    By central differences of the forces along v, two evaluations; a frame of which the teacher has
    nothing to say there gets neither.

    Args:
        teacher: Who labelled it.
        frame: Gets two columns of shape (n_atoms, 3).
        rng: Of the direction, whose components have unit variance.
    """
    direction, forces = rng.normal(size=(len(frame), 3)), []
    for sign in (1, -1):
        moved = frame.copy()
        moved.positions += sign * _STEP * direction
        try:
            forces.append(ask(teacher, moved, frame.get_chemical_formula()).forces)
        except StructureError:
            return
    frame.set_array(DIRECTION, direction)
    frame.set_array(CURVATURE, (forces[1] - forces[0]) / (2 * _STEP))


def largest_force(frame: Atoms) -> float:
    """Length of the largest force of a labelled frame in eV/Å."""
    return float(np.linalg.norm(frame.get_forces(), axis=1).max())


def energies_of_atoms(frame: Atoms) -> FloatArray:
    """Energies of the atoms of a labelled frame in eV, shape (n_atoms,); NaN if unknown."""
    told = frame.calc.results.get("energies")
    if told is None:
        return np.full(len(frame), np.nan)
    return np.array(told, dtype=np.float64).reshape(len(frame))
