"""Edges that the core finds for itself, against those of the tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from m3compress import Calculator
from m3compress.engines.native.cells import find_edges
from m3compress.errors import OverlapError, StructureError
from m3compress.models.potential import Potential

NativeModel = Callable[[str], tuple[Path, Potential]]


def larger(structures: dict[str, Atoms]) -> dict[str, Atoms]:
    """Cells of several cutoffs, oblique ones, and atoms far apart, too."""
    salt = structures["salt"].repeat((2, 1, 1))
    oblique = salt.copy()
    oblique.set_cell(salt.cell.array @ [[1, 0, 0], [0.4, 1, 0], [-0.3, 0.2, 1]], scale_atoms=True)
    far = Atoms("H4", positions=[[0, 0, 0], [0, 0, 1], [4e2, 3, 0], [-9e2, 1, 7e2]])
    shuffled = salt[np.random.default_rng(0).permutation(len(salt))]
    return {**structures, "two": salt, "oblique": oblique, "far": far, "shuffled": shuffled}


def test_the_same_as_by_tables(native_model: NativeModel, structures: dict[str, Atoms]) -> None:
    path, _ = native_model("matgl-4.1")
    calculator = Calculator(path, threads=2, precision="float64", on_overlap="ignore")
    evaluator = calculator.evaluator
    for name, atoms in larger(structures).items():
        direct, by_tables = calculator.evaluate(atoms), evaluator.run(evaluator.inputs(atoms))
        assert np.abs(direct.energies - by_tables.energies).max() < 1e-10, name
        assert np.abs(direct.forces - by_tables.forces).max() < 1e-10, name
        assert np.abs(direct.virial - by_tables.virial).max() < 1e-8, name
        again = calculator.evaluate(atoms)
        assert np.array_equal(direct.forces, again.forces)


def test_atoms_that_are_too_close_are_named_as_the_caller_numbers_them(
    native_model: NativeModel, structures: dict[str, Atoms]
) -> None:
    path, _ = native_model("tf")
    calculator = Calculator(path, threads=1)
    atoms = structures["salt"].copy()
    atoms.positions[41] = atoms.positions[17] + [0, 0, 1e-5]
    with pytest.raises(StructureError, match=r"atoms (17 and 41|41 and 17) \(counting from 0\)"):
        calculator.evaluate(atoms)


def test_the_domain_of_training_is_watched(
    native_model: NativeModel, structures: dict[str, Atoms], tmp_path: Path
) -> None:
    path, potential = native_model("tf")
    calculator = Calculator(path, threads=1, on_overlap="raise")
    guard = calculator.evaluator._guard
    row, column = (potential.elements.index(symbol) for symbol in ("Na", "Cl"))
    guard._squared[row, column] = guard._squared[column, row] = 2.7**2
    guard._action = "raise"
    assert np.isfinite(calculator.evaluate(structures["isolated"]).energy)
    with pytest.raises(OverlapError, match=r"2\.\d+ Å apart.*Cl-Na is never closer than 2\.700 Å"):
        calculator.evaluate(structures["salt"])


def test_the_pair_furthest_below_its_limit_is_found(structures: dict[str, Atoms]) -> None:
    atoms = structures["salt"].copy()
    atoms.rattle(0.2, seed=3)
    species = (atoms.numbers == 11).astype(np.int64)
    found = find_edges(atoms, species, 5.0, "float32", 2)
    first, second, lengths = neighbor_list("ijd", atoms, 5.0)
    for limits in (np.array([[5.0, 2.8], [2.8, 3.9]]), np.array([[0.0, 2.9], [2.9, 0.0]])):
        bounds = limits[species[first], species[second]]
        shares = np.divide(lengths, bounds, out=np.full_like(lengths, np.inf), where=bounds > 0)
        worst = int(shares.argmin())
        pair = found.closest(limits)
        assert pair is not None
        assert {pair.first, pair.second} == {first[worst], second[worst]}
        assert pair.distance == pytest.approx(lengths[worst], abs=1e-5)
        assert pair.ratio == pytest.approx(shares[worst] ** 2, abs=1e-5)
    assert found.closest(np.full((2, 2), 0.5)) is None
    assert found.closest(None) is None
