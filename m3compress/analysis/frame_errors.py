"""How far one potential is from another, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units

from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluation


@dataclass(frozen=True, slots=True)
class FrameErrors:
    """One number per frame, arrays of shape (n_frames,).

    Attributes:
        energy: Difference of energies in eV/atom, with its sign.
        force: Mean absolute difference of a force component in eV/Å.
        scale: Mean absolute force component of the potential that is right, in eV/Å.
        stress: Mean absolute difference of a stress component in GPa.
    """

    energy: FloatArray
    force: FloatArray
    scale: FloatArray
    stress: FloatArray


def frame_errors(frames: Iterable[tuple[Atoms, Evaluation, Evaluation]]) -> FrameErrors:
    """Errors on some frames.

    Args:
        frames: Structure, what is judged, and what is right.
    """
    rows = [
        (
            (found.energy - right.energy) / len(atoms),
            *force_error(found.forces, right.forces),
            np.abs(found.stress(atoms) - right.stress(atoms)).mean() / units.GPa,
        )
        for atoms, found, right in frames
    ]
    return FrameErrors(*np.array(rows, dtype=np.float64).reshape(-1, 4).T)


def force_error(found: FloatArray, right: FloatArray) -> tuple[float, float]:
    """Mean absolute difference of a component, and what it is to be compared with: of ``right``.

    Args:
        found: Forces that are judged, shape (n_atoms, 3).
        right: Those that are right, of the same shape and unit.
    """
    return float(np.abs(found - right).mean()), float(np.abs(right).mean())


def deepest_hole(energies: FloatArray, height: float = np.inf) -> float:
    """How far a row of energies falls below what came before, 0 if it only rises.

    Args:
        energies: Of atoms that come closer, in that order, shape (n,).
        height: Above the first energy: holes behind a higher wall do not count.
    """
    if not len(energies):
        return 0.0
    climbed = np.maximum.accumulate(energies)
    return float((climbed - energies)[climbed - energies[0] <= height].max())
