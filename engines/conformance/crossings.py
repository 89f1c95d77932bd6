"""Jumps of energy and forces where an atom enters a neighbourhood.

Both sides of a cutoff are extrapolated linearly to the cutoff itself. For a function with a
continuous second derivative the two agree up to the third power of the step; what is left is a
jump.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from ase import Atoms

from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluation, Evaluator
from m3compress.contract.neighbors import find_edges

#: Distance of the points from the cutoff in Å. Smaller ones see more rounding in no jump, larger
#: ones more curvature.
_STEP: Final = 1e-3
_WINDOW: Final = 0.4  # Å that an atom may be moved to bring it to a cutoff
_TRIALS: Final = 20
_CLEAR: Final = 5  # steps around a cutoff in which no second pair of atoms may cross it


@dataclass(frozen=True, slots=True)
class Crossing:
    """A structure with one pair of atoms exactly at a cutoff.

    Attributes:
        atoms: The structure.
        mover: One of the two.
        direction: Unit vector in which it leaves the other one, shape (3,).
    """

    atoms: Atoms
    mover: int
    direction: FloatArray


def find_crossing(atoms: Atoms, cutoff: float, rng: np.random.Generator) -> Crossing | None:
    """A random pair of atoms brought to the cutoff, and no other pair there; None if none can."""
    edges, vectors = find_edges(atoms, cutoff + _WINDOW)
    lengths = np.linalg.norm(vectors, axis=1)
    near = np.flatnonzero((np.abs(lengths - cutoff) < _WINDOW) & (edges.centers != edges.neighbors))
    for edge in rng.permutation(near)[:_TRIALS]:
        mover, direction = int(edges.neighbors[edge]), vectors[edge] / lengths[edge]
        placed = atoms.copy()
        placed.positions[mover] += (cutoff - lengths[edge]) * direction
        if _is_alone_at(placed, cutoff):
            return Crossing(placed, mover, direction)
    return None


def both_sides(model: Evaluator, crossing: Crossing) -> tuple[Evaluation, Evaluation]:
    """Energy and forces at the cutoff, extrapolated from inside and from outside."""

    def at(distance: float) -> Evaluation:
        moved = crossing.atoms.copy()
        moved.positions[crossing.mover] += distance * crossing.direction
        return model.evaluate(moved)

    inside = _extrapolate(at(-_STEP), at(-2 * _STEP))
    outside = _extrapolate(at(_STEP), at(2 * _STEP))
    return inside, outside


def energy_jump(left: Evaluation, right: Evaluation) -> float:
    """Of the total energy in eV."""
    return abs(right.energy - left.energy)


def force_jump(left: Evaluation, right: Evaluation) -> float:
    """Largest of a force component in eV/Å."""
    return float(np.abs(right.forces - left.forces).max())


def _is_alone_at(atoms: Atoms, cutoff: float) -> bool:
    """Whether just one pair (an edge each way) is at the cutoff, so that one atom crosses it."""
    margin = _CLEAR * _STEP
    _, vectors = find_edges(atoms, cutoff + margin)
    return int((np.linalg.norm(vectors, axis=1) > cutoff - margin).sum()) == 2


def _extrapolate(near: Evaluation, far: Evaluation) -> Evaluation:
    return Evaluation(
        energy=2 * near.energy - far.energy,
        energies=2 * near.energies - far.energies,
        forces=2 * near.forces - far.forces,
        virial=2 * near.virial - far.virial,
    )
