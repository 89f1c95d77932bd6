"""Are forces and virial the derivatives of the energy?

Derivatives are taken of the energy that a model gives, in its own precision. The step follows from
that: float32 rounds the energy of an atom to some 10⁻⁶ eV, so that a step of 10⁻² Å and a stencil
of fourth order keep both the rounding and the truncation below 10⁻³ of a force of 1 eV/Å.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

import numpy as np
from ase import Atoms

from m3compress.contract.arrays import FloatArray, IntArray
from m3compress.contract.neighbors import find_edges
from m3compress.engines.conformance.probed import Probed

_STEP: Final = 0.01  # Å, of one atom, or of all together
_STRAIN: Final = 2e-3
_FORCE_FLOOR: Final = 0.5  # eV/Å; smaller forces are not resolved to 10⁻³ by differences of energy
_VIRIAL_FLOOR: Final = 0.5  # eV per atom; rounding of 10⁻⁶ eV over the strain is 10⁻³ of it
_DIRECTIONS: Final = 3
_TRIALS: Final = 12

#: A structure as a function of how far it is displaced or strained.
Path = Callable[[float], Atoms]


def derivative(energy: Callable[[float], float], step: float) -> float:
    """dE/dx at 0 from four energies, with an error of fourth order in the step.

    Args:
        energy: Energy in eV as a function of x.
        step: Distance of the two inner points from 0.
    """
    inner = energy(step) - energy(-step)
    outer = energy(2 * step) - energy(-2 * step)
    return (8 * inner - outer) / (12 * step)


def force_errors(
    model: Probed, atoms: Atoms, forces: FloatArray, rng: np.random.Generator
) -> list[float]:
    """Forces against differences of energy: along all forces at once, and of single atoms.

    The first is the consistency test of OpenMM: of all directions, that of the forces has the
    largest derivative, |F|. The others see an error that the first averages away.

    Args:
        model: Whose energies.
        atoms: A structure.
        forces: What the model says of it, in eV/Å, shape (n_atoms, 3).
        rng: Chooses the atoms and directions.

    Returns:
        Relative error along each direction that is clear of cutoffs; empty if none is.
    """
    norm = float(np.linalg.norm(forces))
    scale = max(float(np.linalg.norm(forces, axis=1).max()), _FORCE_FLOOR)
    # Relative to |F| along all forces, to the largest force for a single atom.
    together = [(forces / norm, norm)] if norm > _FORCE_FLOOR else []
    single = [(_one_atom(len(forces), rng), scale) for _ in range(_TRIALS)]
    errors = []
    for direction, size in _clear(model, atoms, [*together, *single]):
        slope = derivative(_energy(model, _displaced(atoms, direction)), _STEP)
        errors.append(abs(slope + float((forces * direction).sum())) / size)
    return errors


def virial_errors(
    model: Probed, atoms: Atoms, virial: FloatArray, rng: np.random.Generator
) -> list[float]:
    """Virial against the change of energy under random symmetric strains.

    Args:
        model: Whose energies.
        atoms: A structure with a cell.
        virial: What the model says of it, in eV, shape (3, 3).
        rng: Chooses the strains.

    Returns:
        Relative error under each strain that is clear of cutoffs; empty if none is.
    """
    scale = max(float(np.abs(virial).max()), _VIRIAL_FLOOR * len(atoms))
    strains = [_unit(_symmetric(rng)) for _ in range(_TRIALS)]
    paths = ((_strained(atoms, strain), strain) for strain in strains)
    clear = (p for p in paths if crosses_no_cutoff(model, p[0], 2 * _STRAIN))
    errors = []
    for path, strain in islice(clear, _DIRECTIONS):
        slope = derivative(_energy(model, path), _STRAIN)
        errors.append(abs(slope - float((virial * strain).sum())) / scale)
    return errors


def crosses_no_cutoff(model: Probed, path: Path, reach: float) -> bool:
    """Whether the neighbourhoods are the same at both ends of a path.

    Some trained models have a kink at the cutoff (Bessel functions without an envelope). That is
    for measures of smoothness to find; away from it forces must be derivatives all the same.

    Args:
        model: Its cutoffs are meant.
        path: Structures.
        reach: The ends are at −reach and reach.
    """
    start, end = path(-reach), path(reach)
    return all(
        np.array_equal(_pairs(start, cutoff), _pairs(end, cutoff))
        for cutoff in {model.cutoff, model.three_body_cutoff}
    )


def _pairs(atoms: Atoms, cutoff: float) -> IntArray:
    edges, _ = find_edges(atoms, cutoff)
    return np.column_stack([edges.centers, edges.neighbors, edges.images])


def _energy(model: Probed, path: Path) -> Callable[[float], float]:
    return lambda distance: model.evaluate(path(distance)).energy


def _one_atom(n_atoms: int, rng: np.random.Generator) -> FloatArray:
    """A random unit vector for a random atom, zero for the others, shape (n_atoms, 3)."""
    direction = np.zeros((n_atoms, 3))
    direction[rng.integers(n_atoms)] = _unit(rng.normal(size=3))
    return direction


def _unit(vector: FloatArray) -> FloatArray:
    return np.asarray(vector / np.linalg.norm(vector))


def _displaced(atoms: Atoms, direction: FloatArray) -> Path:
    def at(distance: float) -> Atoms:
        moved = atoms.copy()
        moved.positions += distance * direction
        return moved

    return at


def _clear(
    model: Probed, atoms: Atoms, directions: Iterable[tuple[FloatArray, float]]
) -> list[tuple[FloatArray, float]]:
    """The first few directions along which no pair of atoms crosses a cutoff."""
    clear = (
        (direction, size)
        for direction, size in directions
        if crosses_no_cutoff(model, _displaced(atoms, direction), 2 * _STEP)
    )
    return list(islice(clear, 1 + _DIRECTIONS))


def _symmetric(rng: np.random.Generator) -> FloatArray:
    matrix = rng.normal(size=(3, 3))
    return matrix + matrix.T


def _strained(atoms: Atoms, strain: FloatArray) -> Path:
    """Cell and positions times 1 + s · strain (3, 3)."""

    def at(amount: float) -> Atoms:
        copy = atoms.copy()
        copy.set_cell(atoms.cell.array @ (np.eye(3) + amount * strain), scale_atoms=True)
        return copy

    return at
