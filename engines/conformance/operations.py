"""Operations under which a potential does not change, and by how much one does.

Every operation turns a structure into one with the same physics, evaluates both, carries the forces
back and compares. Energies are compared per atom.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from ase import Atoms
from ase.geometry import wrap_positions

from m3compress.contract.arrays import FloatArray
from m3compress.contract.cells import face_normal, perpendicular_widths
from m3compress.contract.evaluation import Evaluation, Evaluator
from m3compress.engines.conformance.probed import Probed

#: Forces are compared absolutely up to here (eV/Å) and relatively beyond: float32 rounds
#: relatively, and squeezed structures have forces of any size.
_RELATIVE_ABOVE: Final = 10.0
_GAP: Final = 1.1  # between two clusters, in cutoffs
_MARGIN: Final = 0.5  # Å beyond the receptive field
_STEP: Final = 0.3  # Å, displacement of an atom that nobody is to notice


@dataclass(frozen=True, slots=True)
class Deviation:
    """What an operation changed that it must not.

    Attributes:
        force: Largest component of a change of forces in eV/Å.
        energy: Change of the energy in eV per atom.
    """

    force: float
    energy: float


#: Model, structure, its evaluation, and randomness to a deviation; None if it does not apply.
Operation = Callable[[Probed, Atoms, Evaluation, np.random.Generator], Deviation | None]


def compare_forces(expected: FloatArray, got: FloatArray) -> float:
    """Largest |ΔF| in eV/Å, relative to a tenth of the largest force where that is over 1 eV/Å."""
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)) / _RELATIVE_ABOVE)
    return float(np.abs(got - expected).max(initial=0.0)) / scale


def _deviation(base: Evaluation, forces: FloatArray, energy: float) -> Deviation:
    change = abs(energy - base.energy) / len(base.forces)
    return Deviation(compare_forces(base.forces, forces), change)


def permute(
    model: Evaluator, atoms: Atoms, base: Evaluation, rng: np.random.Generator
) -> Deviation | None:
    """Atoms in another order.

    For the limit, a change of the energy of an atom (eV) counts as one of its force (eV/Å).
    """
    if len(atoms) < 2:
        return None
    order = rng.permutation(len(atoms))
    result, back = model.evaluate(atoms[order]), np.argsort(order)
    deviation = _deviation(base, result.forces[back], result.energy)
    atom = np.abs(result.energies[back] - base.energies).max()
    return replace(deviation, force=float(np.maximum(deviation.force, atom)))


def reorder_neighbors(
    model: Probed, atoms: Atoms, base: Evaluation, rng: np.random.Generator
) -> Deviation:
    """Neighbours of every atom in another order."""
    result = model.evaluate_shuffled(atoms, rng)
    return _deviation(base, result.forces, result.energy)


def translate(
    model: Evaluator, atoms: Atoms, base: Evaluation, rng: np.random.Generator
) -> Deviation:
    """Everything moved by one vector."""
    moved = atoms.copy()
    moved.positions += rng.normal(0.0, 3.0, 3)
    result = model.evaluate(moved)
    return _deviation(base, result.forces, result.energy)


def rotate(model: Evaluator, atoms: Atoms, base: Evaluation, rng: np.random.Generator) -> Deviation:
    """Everything turned, the cell with it."""
    rotation = _random_rotation(rng)
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ rotation.T)
    turned.positions = atoms.positions @ rotation.T
    result = model.evaluate(turned)
    return _deviation(base, result.forces @ rotation, result.energy)


def _random_rotation(rng: np.random.Generator) -> FloatArray:
    """The matrix of a rotation, uniform over all of them, shape (3, 3)."""
    # Here, because engines load without SciPy.
    from scipy.spatial.transform import Rotation

    # By position: the name of the argument depends on the version of SciPy.
    return np.asarray(Rotation.random(None, rng).as_matrix())


def invert(model: Evaluator, atoms: Atoms, base: Evaluation, rng: np.random.Generator) -> Deviation:
    """Every position x replaced by −x; a lattice is its own mirror image."""
    del rng
    mirrored = atoms.copy()
    mirrored.positions = -atoms.positions
    result = model.evaluate(mirrored)
    return _deviation(base, -result.forces, result.energy)


def wrap(
    model: Evaluator, atoms: Atoms, base: Evaluation, rng: np.random.Generator
) -> Deviation | None:
    """Every atom moved by its own lattice vector."""
    if not atoms.pbc.any():
        return None
    moved = atoms.copy()
    shifts = rng.integers(-2, 3, (len(atoms), 3)) * atoms.pbc
    moved.positions += shifts @ atoms.cell.array
    result = model.evaluate(moved)
    return _deviation(base, result.forces, result.energy)


def repeat(
    model: Evaluator, atoms: Atoms, base: Evaluation, rng: np.random.Generator
) -> Deviation | None:
    """Two cells in place of one, along a random periodic direction."""
    axes = np.flatnonzero(atoms.pbc)
    if not len(axes):
        return None
    larger = atoms.repeat(1 + np.eye(3, dtype=int)[rng.choice(axes)])
    result = model.evaluate(larger)
    energy = result.energies.mean() - base.energies.mean()
    return Deviation(
        compare_forces(np.tile(base.forces, (2, 1)), result.forces), abs(float(energy))
    )


def skew_cell(
    model: Evaluator, atoms: Atoms, base: Evaluation, rng: np.random.Generator
) -> Deviation | None:
    """Other vectors that span the same lattice, and the atoms wrapped into that cell."""
    del rng
    axes = np.flatnonzero(atoms.pbc)
    if len(axes) < 2:
        return None
    cell = atoms.cell.array.copy()
    cell[axes[1]] += cell[axes[0]]
    if len(axes) == 3:
        cell[axes[2]] -= cell[axes[1]]
    other = atoms.copy()
    other.set_cell(cell)
    other.positions = wrap_positions(atoms.positions, cell, pbc=atoms.pbc)
    result = model.evaluate(other)
    return _deviation(base, result.forces, result.energy)


def separate(model: Probed, atoms: Atoms, base: Evaluation, rng: np.random.Generator) -> Deviation:
    """Two clusters that share no edge: each as if it were alone.

    The second is a mirror image in another orientation, so that the two differ.
    """
    del base  # of the structure with its cell; here the cell is cut open
    first = atoms.copy()
    first.pbc, first.cell = False, None
    second = first.copy()
    second.positions = -first.positions @ _random_rotation(rng).T
    first.positions -= first.positions.max(axis=0)
    second.positions -= second.positions.min(axis=0)
    second.positions[:, 0] += _GAP * model.cutoff
    alone = [model.evaluate(part) for part in (first, second)]
    both = model.evaluate(first + second)
    forces = np.concatenate([part.forces for part in alone])
    energy = both.energies.sum() - sum(part.energies.sum() for part in alone)
    return Deviation(compare_forces(forces, both.forces), abs(float(energy)) / len(both.forces))


def move_far_atoms(
    model: Probed, atoms: Atoms, base: Evaluation, rng: np.random.Generator
) -> Deviation | None:
    """Atoms of a long rod moved where the ends of the rod cannot see it.

    An energy sees as far as the receptive field, and a force twice as far: it is the change of
    the energies of all atoms that see its atom. For the limit, a change of the energy of an end
    atom (eV) counts as one of its force (eV/Å).
    """
    del base
    rod = _cut_rod(atoms, 2 * model.receptive_field + 3 * _MARGIN)
    if rod is None:
        return None
    before = model.evaluate(rod)
    order = np.argsort(rod.positions[:, 2])
    changes = []
    for end in (order[0], order[-1]):
        distance = np.linalg.norm(rod.positions - rod.positions[end], axis=1)
        for reach in (1, 2):
            threshold = reach * model.receptive_field
            after = model.evaluate(_with_one_moved(rod, distance, threshold, rng))
            energy = abs(after.energies[end] - before.energies[end])
            force = compare_forces(before.forces[end], after.forces[end]) if reach == 2 else 0.0
            changes.append((max(force, energy), energy))
    forces, energies = np.array(changes).T
    return Deviation(float(forces.max()), float(energies.max()))


def _cut_rod(atoms: Atoms, length: float) -> Atoms | None:
    """A cluster along z, longer than ``length`` (Å), one cell thick; None without a period."""
    widths = perpendicular_widths(atoms) * atoms.pbc
    axis = int(np.argmax(widths))
    if not widths[axis]:
        return None
    n_cells = int(np.ceil((length + np.ptp(_along(atoms, axis))) / widths[axis])) + 1
    rod = atoms.repeat(1 + (n_cells - 1) * np.eye(3, dtype=int)[axis])
    rod.rotate(face_normal(atoms, axis), "z")
    rod.pbc, rod.cell = False, None
    return rod


def _along(atoms: Atoms, axis: int) -> FloatArray:
    return np.asarray(atoms.positions @ face_normal(atoms, axis))


def _with_one_moved(
    rod: Atoms, distance: FloatArray, threshold: float, rng: np.random.Generator
) -> Atoms:
    """The nearest atom beyond ``threshold`` (Å) moved by 0.3 Å, and still beyond it."""
    beyond = np.flatnonzero(distance > threshold + _MARGIN)
    chosen = beyond[np.argmin(distance[beyond])]
    direction = rng.normal(size=3)
    moved = rod.copy()
    moved.positions[chosen] += _STEP * direction / np.linalg.norm(direction)
    return moved


def sum_forces(
    model: Evaluator, atoms: Atoms, base: Evaluation, rng: np.random.Generator
) -> Deviation:
    """The force on the structure as a whole, per atom; relative where forces are large."""
    del model, rng
    total = base.forces.sum(axis=0) / len(atoms)
    return Deviation(compare_forces(base.forces, base.forces + total), 0.0)
