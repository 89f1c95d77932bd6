"""Frames that carry what a teacher says about them."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from m3compress.contract.evaluation import Evaluator
from m3compress.contract.neighbors import FloatArray
from m3compress.contract.teacher import ask


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


def largest_force(frame: Atoms) -> float:
    """Length of the largest force of a labelled frame in eV/Å."""
    return float(np.linalg.norm(frame.get_forces(), axis=1).max())


def energies_of_atoms(frame: Atoms) -> FloatArray:
    """Energies of the atoms of a labelled frame in eV, shape (n_atoms,); NaN if unknown."""
    told = frame.calc.results.get("energies")
    if told is None:
        return np.full(len(frame), np.nan)
    return np.array(told, dtype=np.float64).reshape(len(frame))
