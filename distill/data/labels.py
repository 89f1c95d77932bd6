"""Frames that carry what a teacher says about them."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from m3compress.contract.evaluation import Evaluator


def label(teacher: Evaluator, atoms: Atoms) -> Atoms:
    """A bare copy with the teacher's energy (eV), forces (eV/Å) and stress (eV/Å³).

    Args:
        teacher: Anything that evaluates.
        atoms: A structure with a cell; the copy is periodic along all three axes.

    Raises:
        StructureError: If the teacher cannot evaluate it.
    """
    frame = Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=True)
    found = teacher.evaluate(frame)
    frame.calc = SinglePointCalculator(
        frame, energy=found.energy, forces=found.forces, stress=found.stress(frame)
    )
    return frame


def largest_force(frame: Atoms) -> float:
    """Length of the largest force of a labelled frame in eV/Å."""
    return float(np.linalg.norm(frame.get_forces(), axis=1).max())
