"""Does a code say of every cell what the reference says, and of the same cell always the same?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from ase import Atoms

from m3compress.contract.arrays import FloatArray, IntArray
from m3compress.contract.evaluation import Evaluation, Evaluator
from m3compress.engines.conformance import operations
from m3compress.engines.conformance.cells import Cell
from m3compress.engines.conformance.code import Code
from m3compress.engines.conformance.limits import Limits
from m3compress.engines.conformance.operations import Deviation, compare_forces
from m3compress.engines.conformance.report import Clause, measured, not_given
from m3compress.errors import M3CompressError

_ENERGY: Final = "eV/atom"
_FORCE: Final = "eV/Å"
_SMALL_STEP: Final = 0.02  # Å: a step of molecular dynamics, and less than any skin


@dataclass(frozen=True, slots=True)
class Pair:
    """A cell, and what reference and code say of it."""

    cell: Cell
    expected: Evaluation
    got: Evaluation


def compare(
    code: Code, reference: Evaluator, cells: Iterable[Cell]
) -> tuple[list[Pair], list[Clause]]:
    """Evaluate every cell by both.

    Returns:
        The cells that both evaluated, and clauses about the others and about those that the code
        changed.
    """
    pairs: list[Pair] = []
    clauses: list[Clause] = []
    for cell in cells:
        try:
            expected = reference.evaluate(cell.atoms.copy())
        except M3CompressError as error:
            clauses.append(not_given(cell.name, f"the reference refuses it: {error.message}"))
            continue
        given = cell.atoms.copy()
        try:
            got = code.evaluate(given)
        except Exception as error:
            clauses.append(_refusal(code, cell, error))
            continue
        if given != cell.atoms:
            note = "the code changed the structure it was given"
            clauses.append(Clause(name=cell.name, holds=False, note=note))
        pairs.append(Pair(cell, expected, got))
    return pairs, clauses


def told(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _refusal(code: Code, cell: Cell, error: Exception) -> Clause:
    known = cell.name in code.refuses and isinstance(error, M3CompressError)
    return Clause(name=cell.name, holds=None if known else False, note=f"refused: {told(error)}")


def agreement(code: Code, pairs: list[Pair], limits: Limits) -> list[Clause]:
    """Energy, forces, virial and energies of atoms against the reference; worst cells are named."""
    periodic = [pair for pair in pairs if pair.cell.atoms.pbc.all()]
    clauses = [
        _worst("energy", pairs, _energy_error, limits.energy, _ENERGY),
        _worst("forces", pairs, _force_error, limits.force, _FORCE),
    ]
    if "virial" in code.gives:
        clauses.append(_worst("virial", periodic, _virial_error, limits.virial, _ENERGY))
    else:
        clauses.append(not_given("virial", "not given"))
    if "virials of atoms" in code.gives:
        clauses += [
            _virials(periodic, limits),
            _worst("sum of virials of atoms", periodic, _parts_error, limits.virial, _ENERGY),
        ]
    else:
        clauses.append(not_given("virials of atoms", "not given"))
    names = ("energies of atoms", "sum of energies of atoms")
    if "energies of atoms" not in code.gives:
        return [*clauses, *(not_given(name, "not given") for name in names)]
    return [
        *clauses,
        _worst(names[0], pairs, _atom_error, limits.atom_energy, "eV"),
        _worst(names[1], pairs, _sum_error, limits.energy, _ENERGY),
    ]


def _worst(
    name: str, pairs: list[Pair], error: Callable[[Pair], float], limit: float, unit: str
) -> Clause:
    if not pairs:
        return Clause(name=name, holds=False, limit=limit, unit=unit, note="nothing was compared")
    # NaN is the largest of all.
    found = [(np.nan_to_num(error(pair), nan=np.inf), pair.cell.name) for pair in pairs]
    value, where = max(found)
    return measured(name, float(value), limit, unit, f"{len(pairs)} cells, worst: {where}")


def _energy_error(pair: Pair) -> float:
    return abs(pair.got.energy - pair.expected.energy) / len(pair.cell.atoms)


def _force_error(pair: Pair) -> float:
    return _array_error(pair.expected.forces, pair.got.forces)


def _virial_error(pair: Pair) -> float:
    n_atoms = len(pair.cell.atoms)
    return _array_error(pair.expected.virial / n_atoms, pair.got.virial / n_atoms)


def _virials(periodic: list[Pair], limits: Limits) -> Clause:
    name = "virials of atoms"
    if any(pair.expected.virials is None for pair in periodic):
        return not_given(name, "the reference knows their sum alone")
    return _worst(name, periodic, _virials_error, limits.atom_virial, "eV")


def _virials_error(pair: Pair) -> float:
    """Of codes that keep six components, those of the symmetric parts."""
    expected, got = pair.expected.virials, pair.got.virials
    if expected is None or got is None:
        return np.nan
    if got.shape == expected.shape and np.array_equal(got, got.swapaxes(1, 2)):
        expected = 0.5 * (expected + expected.swapaxes(1, 2))
    return _array_error(expected, got)


def _parts_error(pair: Pair) -> float:
    """Of their sum, against the total of the same code."""
    if pair.got.virials is None:
        return np.nan
    n_atoms = len(pair.cell.atoms)
    return _array_error(pair.got.virial / n_atoms, pair.got.virials.sum(axis=0) / n_atoms)


def _atom_error(pair: Pair) -> float:
    return _array_error(pair.expected.energies, pair.got.energies)


def _sum_error(pair: Pair) -> float:
    expected, got = (value.energy - value.energies.sum() for value in (pair.expected, pair.got))
    return float(abs(got - expected)) / len(pair.cell.atoms)


def _array_error(expected: FloatArray, got: FloatArray) -> float:
    """Largest difference; NaN where the shapes are not even the same."""
    return compare_forces(expected, got) if np.shape(got) == expected.shape else np.nan


def symmetries(code: Code, reference: Evaluator, pairs: list[Pair], limits: Limits) -> list[Clause]:
    """What must not matter: order of atoms, cells they are written in, number of cells, history."""
    model = _Whole(code, reference)
    return [
        _symmetry(name, operation, model, pairs, limits)
        for name, operation in (
            ("permutation", operations.permute),
            ("order of types", _sort_types),
            ("wrapping", operations.wrap),
            ("images", operations.repeat),
            ("cell vectors", operations.skew_cell),
            ("history", _look_back),
        )
    ]


class _Whole:
    """A code as an evaluator; one that gives no energies of atoms shares its energy out evenly."""

    def __init__(self, code: Code, reference: Evaluator) -> None:
        self._code, self.reference = code, reference
        self.elements, self.cutoff = reference.elements, reference.cutoff

    def evaluate(self, atoms: Atoms) -> Evaluation:
        found = self._code.evaluate(atoms)
        if "energies of atoms" in self._code.gives:
            return found
        expected = self.reference.evaluate(atoms)
        constant = expected.energy - float(expected.energies.sum())
        share = (found.energy - constant) / len(atoms)
        return replace(found, energies=np.full(len(atoms), share))


#: As :data:`~m3compress.engines.conformance.operations.Operation`, for a code.
_Operation = Callable[[_Whole, Atoms, Evaluation, np.random.Generator], Deviation | None]


def _symmetry(
    name: str, operation: _Operation, model: _Whole, pairs: list[Pair], limits: Limits
) -> Clause:
    """The worst of a symmetry over the cells, in parts of its limits."""
    worst: tuple[float, str] | None = None
    for pair in pairs:
        atoms = pair.cell.atoms
        try:
            base = model.evaluate(atoms.copy())
            found = operation(model, atoms.copy(), base, np.random.default_rng(0))
        except Exception as error:
            return Clause(name=name, holds=False, note=f"{pair.cell.name}: {told(error)}")
        if found is not None:
            part = max(found.force / limits.force, found.energy / limits.energy)
            candidate = (float(np.nan_to_num(part, nan=np.inf)), pair.cell.name)
            worst = candidate if worst is None else max(worst, candidate)
    if worst is None:
        return Clause(name=name, holds=False, note="there was nothing to try it on")
    return measured(name, worst[0], 1.0, "of the limit", f"worst: {worst[1]}")


def _sort_types(
    model: _Whole, atoms: Atoms, base: Evaluation, rng: np.random.Generator
) -> Deviation | None:
    """Sorted by element, either way: types may be numbered in the order of their appearance.

    For the limit, a change of the energy of an atom (eV) counts as one of its force (eV/Å).
    """
    del rng
    symbols = np.array(atoms.get_chemical_symbols())
    if len(set(symbols)) < 2:
        return None
    upward = np.argsort(symbols, kind="stable")
    deviations = []
    for order in (upward, upward[::-1]):
        found, back = model.evaluate(atoms[order]), np.argsort(order)
        deviation = _deviation(base, found, back)
        atom = float(np.abs(found.energies[back] - base.energies).max())
        deviations.append((max(deviation.force, atom), deviation.energy))
    force, energy = np.max(deviations, axis=0)
    return Deviation(float(force), float(energy))


def _look_back(
    model: _Whole, atoms: Atoms, base: Evaluation, rng: np.random.Generator
) -> Deviation:
    """A structure that is a little different, another one, and the same once more."""
    moved = atoms.copy()
    moved.positions += rng.normal(0.0, _SMALL_STEP, atoms.positions.shape)
    before, after = (model.reference.evaluate(other.copy()) for other in (atoms, moved))
    expected = replace(
        after,
        energy=base.energy + after.energy - before.energy,
        forces=base.forces + after.forces - before.forces,
    )
    step = _deviation(expected, model.evaluate(moved))
    model.evaluate(atoms[:1])
    again = _deviation(base, model.evaluate(atoms))
    return Deviation(max(step.force, again.force), max(step.energy, again.energy))


def _deviation(
    expected: Evaluation, got: Evaluation, order: IntArray | slice = slice(None)
) -> Deviation:
    change = abs(got.energy - expected.energy) / len(expected.forces)
    return Deviation(compare_forces(expected.forces, got.forces[order]), change)
