"""A calculator that is copied, pickled, sent to other processes and shared by threads."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.mep import NEB
from ase.optimize import FIRE

from m3compress import Calculator
from m3compress.contract.forms import REMOVED
from m3compress.engines.codes.ase import EvaluatorCalculator
from m3compress.errors import ArtefactError
from m3compress.models.potential import Potential

#: Agreement of float32 graphs with the float64 reference: per atom, and relative to the largest.


COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_works_on_its_own(how: str, artefact: Path, structures: dict[str, Atoms]) -> None:
    atoms = structures["triclinic"].copy()
    atoms.calc = Calculator(artefact, threads=2, skin=0.3)
    energy = atoms.get_potential_energy()
    made = COPIES[how](atoms.calc)
    assert made.table.skin == 0.3
    other = structures["salt"].copy()
    other.calc = made
    np.testing.assert_array_equal(other.get_forces(), atoms.calc.evaluate(other).forces)
    assert atoms.get_potential_energy() == energy, "the results of the original are its own"


def test_atoms_are_copied_with_their_calculator(
    calculator: Calculator, structures: dict[str, Atoms]
) -> None:
    atoms = structures["triclinic"].copy()
    atoms.calc = calculator
    for made in (copy.deepcopy(atoms), pickle.loads(pickle.dumps(atoms))):
        assert made.calc is not calculator
        assert made.get_potential_energy() == atoms.get_potential_energy()


def test_a_pickle_holds_no_weights(calculator: Calculator, artefact: Path) -> None:
    assert len(pickle.dumps(calculator)) < 5000 < artefact.stat().st_size


def test_a_pickle_is_opened_from_another_folder(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stored = pickle.dumps(Calculator(copied.name, threads=1))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert np.isfinite(pickle.loads(stored).evaluate(Atoms("Si")).energy)


def test_a_copy_of_a_file_that_was_replaced_is_refused(
    copied: Path, write_artefact: Any, potential: Potential
) -> None:
    calculator = Calculator(copied, threads=1)
    write_artefact(copied, potential.with_form(REMOVED))
    with pytest.raises(ArtefactError, match="has changed since it was opened"):
        copy.deepcopy(calculator)
    copied.unlink()
    with pytest.raises(ArtefactError, match="there is no file"):
        copy.deepcopy(calculator)


def test_a_calculator_of_any_evaluator_is_copied(
    potential: Potential, structures: dict[str, Atoms]
) -> None:
    atoms = structures["triclinic"].copy()
    atoms.calc = EvaluatorCalculator(potential)
    assert copy.deepcopy(atoms).get_potential_energy() == atoms.get_potential_energy()


def test_spawned_processes_open_the_file_for_themselves(
    calculator: Calculator, structures: dict[str, Atoms]
) -> None:
    atoms = structures["triclinic"].copy()
    atoms.calc = calculator
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        energy = pool.submit(Atoms.get_potential_energy, atoms).result(timeout=120)
    assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-6)


@pytest.mark.parametrize("how", ["shared", "deepcopy"])
def test_nudged_elastic_bands(how: str, calculator: Calculator) -> None:
    start = Atoms("OHNa", positions=[[0, 0, 0], [0, 0, 1.0], [0, 2.2, 0]])
    end = start.copy()
    end.positions[1] = [1.0, 0, 0]
    images = [start, *(start.copy() for _ in range(3)), end]
    for image in images:
        image.calc = calculator if how == "shared" else copy.deepcopy(calculator)
    band = NEB(images, allow_shared_calculator=how == "shared", method="improvedtangent")
    band.interpolate()
    FIRE(band, logfile=None).run(steps=2)
    for image in images:
        expected = calculator.evaluate(image)
        np.testing.assert_allclose(image.get_forces(), expected.forces, rtol=0, atol=1e-5)


@pytest.mark.parametrize("asked", ["one by one", "at once"])
def test_threads_that_share_a_calculator_get_their_own_numbers(
    asked: str, calculator: Calculator, structures: dict[str, Atoms]
) -> None:
    names = ["triclinic", "tiny", "slab", "molecule"]
    right = {name: calculator.evaluate(structures[name]) for name in names}

    def ask(turn: int) -> None:
        name = names[turn % len(names)]
        atoms = structures[name].copy()
        atoms.calc = calculator
        if asked == "at once":
            found = atoms.get_properties(["energy", "forces"])
            energy, forces = found["energy"], found["forces"]
        else:
            energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        assert energy == pytest.approx(right[name].energy, abs=1e-4), name
        np.testing.assert_allclose(forces, right[name].forces, rtol=0, atol=1e-4)

    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(ask, range(200)))
    finally:
        sys.setswitchinterval(switching)


def test_the_home_folder_is_expanded(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Calculator(f"~/{copied.name}", threads=1).manifest.elements[0] == "H"
    with pytest.raises(ArtefactError, match=r"there is no file .*~nobody-of-that-name/x"):
        Calculator("~nobody-of-that-name/x.m3c.onnx")
