from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.stress import voigt_6_to_full_3x3_stress

from m3compress import Calculator
from m3compress.contract.evaluation import Evaluation
from m3compress.contract.forms import FACTORIZED, REMOVED
from m3compress.engines.codes.ase import EvaluatorCalculator
from m3compress.errors import StructureError
from m3compress.models.config import CONVENTIONS
from m3compress.models.network import M3GNet
from m3compress.models.potential import Potential, evaluate

#: Agreement of float32 graphs with the float64 reference: per atom, and relative to the largest.
ENERGY_TOLERANCE = 2e-5  # eV, of network energies of tens of eV
CUTOFF = 5.0  # Å, of the model in conftest.py
FORCE_TOLERANCE = 2e-6  # relative, plus the same in eV/Å


def total_energy(calculator: Calculator, atoms: Atoms) -> float:
    return calculator.evaluate(atoms).energy


def test_parity_with_the_triplet_form_in_float64(
    calculator: Calculator, potential: Potential, structures: dict[str, Atoms]
) -> None:
    forces = []
    for name, atoms in structures.items():
        expected = evaluate(potential, atoms)
        atoms = atoms.copy()
        atoms.calc = calculator
        scale = 1 + np.abs(expected.forces).max()
        energy = atoms.get_potential_energy()
        assert abs(energy - expected.energy) < ENERGY_TOLERANCE * len(atoms), name
        np.testing.assert_allclose(
            atoms.get_potential_energies(), expected.energies, rtol=0, atol=ENERGY_TOLERANCE
        )
        np.testing.assert_allclose(
            atoms.get_forces(), expected.forces, rtol=0, atol=FORCE_TOLERANCE * scale, err_msg=name
        )
        if atoms.pbc.all():
            limit = 1e-5 * (1 + np.abs(expected.virial).max()) / atoms.get_volume()
            np.testing.assert_allclose(
                atoms.get_stress(), expected.stress(atoms), rtol=0, atol=limit, err_msg=name
            )
        forces.append(np.abs(expected.forces).max())
    assert max(forces) > 1, "the test needs forces that matter"


def test_any_evaluator_is_a_calculator(potential: Potential, structures: dict[str, Atoms]) -> None:
    atoms, molecule = structures["triclinic"].copy(), structures["molecule"].copy()
    atoms.calc = molecule.calc = EvaluatorCalculator(potential)
    expected = evaluate(potential, atoms)
    assert atoms.get_potential_energy() == expected.energy
    assert atoms.get_potential_energy(force_consistent=True) == expected.energy
    np.testing.assert_array_equal(atoms.get_potential_energies(), expected.energies)
    np.testing.assert_array_equal(atoms.get_forces(), expected.forces)
    np.testing.assert_array_equal(atoms.get_stress(), expected.stress(atoms))
    with pytest.raises(PropertyNotImplementedError, match="periodic in all directions"):
        molecule.get_stress()


def test_parity_of_the_graph_without_three_body_block(
    tmp_path: Path, write_artefact, potential: Potential, structures: dict[str, Atoms]
) -> None:
    removed = potential.with_form(REMOVED)
    calculator = Calculator(write_artefact(tmp_path / "m.m3c.onnx", removed), threads=1)
    for name in ("triclinic", "tiny", "slab", "isolated", "dimer apart"):
        expected = evaluate(removed, structures[name])
        got = calculator.evaluate(structures[name])
        limit = FORCE_TOLERANCE * (1 + np.abs(expected.forces).max())
        np.testing.assert_allclose(got.forces, expected.forces, rtol=0, atol=limit)
        assert abs(got.energy - expected.energy) < ENERGY_TOLERANCE * len(structures[name])


def test_parity_where_the_three_body_cutoff_is_beyond_the_cutoff(
    tmp_path: Path, write_artefact, potential: Potential, structures: dict[str, Atoms]
) -> None:
    """As matgl runs it: every edge is in the block, which ends with the edges."""
    config = replace(
        potential.config,
        n_blocks=1,
        three_body_cutoff=CUTOFF + 1,
        convention=CONVENTIONS["matgl-4.1"],
    )
    network = M3GNet(config).to(torch.float64)
    network.load_state_dict(potential.network.state_dict(), strict=False)
    beyond = replace(potential, network=network.eval().requires_grad_(requires_grad=False))
    calculator = Calculator(
        write_artefact(tmp_path / "m.m3c.onnx", beyond.with_form(FACTORIZED)), threads=1
    )
    for name in ("triclinic", "slab", "molecule"):
        expected = evaluate(beyond, structures[name])
        got = calculator.evaluate(structures[name])
        limit = FORCE_TOLERANCE * (1 + np.abs(expected.forces).max())
        np.testing.assert_allclose(got.forces, expected.forces, rtol=0, atol=limit)
        assert abs(got.energy - expected.energy) < ENERGY_TOLERANCE * len(structures[name])


@pytest.mark.parametrize("name", ["triclinic", "slab", "wire", "molecule"])
def test_forces_are_the_derivative_of_the_energy(
    calculator: Calculator, structures: dict[str, Atoms], name: str
) -> None:
    atoms = structures[name].copy()
    forces = calculator.evaluate(atoms).forces
    step = 4e-3
    numeric = np.zeros_like(forces)
    for atom, axis in np.ndindex(*forces.shape):
        energies = []
        for factor in (-2, -1, 1, 2):
            moved = atoms.copy()
            moved.positions[atom, axis] += factor * step
            energies.append(total_energy(calculator, moved))
        numeric[atom, axis] = -np.dot([1, -8, 8, -1], energies) / (12 * step)
    np.testing.assert_allclose(forces, numeric, atol=2e-3 * np.abs(forces).max())


@pytest.mark.parametrize("name", ["triclinic", "tiny", "salt"])
def test_stress_is_the_derivative_by_strain(
    calculator: Calculator, structures: dict[str, Atoms], name: str
) -> None:
    atoms = structures[name].copy()
    atoms.calc = calculator
    stress = voigt_6_to_full_3x3_stress(atoms.get_stress())
    step = 1e-3
    numeric = np.zeros((3, 3))
    for row, column in np.ndindex(3, 3):
        energies = []
        for factor in (-2, -1, 1, 2):
            strain = np.eye(3)
            strain[row, column] += factor * step / 2
            strain[column, row] += factor * step / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell[:] @ strain, scale_atoms=True)
            energies.append(total_energy(calculator, strained))
        numeric[row, column] = np.dot([1, -8, 8, -1], energies) / (12 * step)
    numeric /= atoms.get_volume()
    np.testing.assert_allclose(stress, numeric, atol=2e-3 * np.abs(stress).max())


def test_invariance(calculator: Calculator, structures: dict[str, Atoms]) -> None:
    atoms = structures["triclinic"]
    base = calculator.evaluate(atoms)
    order = np.array([2, 0, 3, 1])
    translated, wrapped, jumped = atoms.copy(), atoms.copy(), atoms.copy()
    translated.positions += [0.3, -1.7, 11.1]
    wrapped.positions += [0.3, -1.7, 11.1]
    wrapped.wrap()
    jumped.positions[2] += 3 * atoms.cell[0] - atoms.cell[2]
    for changed, rows in (
        (atoms[order], order),
        (translated, slice(None)),
        (wrapped, slice(None)),
        (jumped, slice(None)),
    ):
        got = calculator.evaluate(changed)
        assert got.energy == pytest.approx(base.energy, abs=2e-5)
        np.testing.assert_allclose(got.forces, base.forces[rows], atol=2e-5)
        np.testing.assert_allclose(got.virial, base.virial, atol=2e-4)


def test_supercell(calculator: Calculator, structures: dict[str, Atoms]) -> None:
    atoms = structures["triclinic"]
    base, big = calculator.evaluate(atoms), calculator.evaluate(atoms.repeat((2, 1, 2)))
    offset = calculator.manifest.energy_offset
    assert big.energy - offset == pytest.approx(4 * (base.energy - offset), abs=1e-4)
    np.testing.assert_allclose(big.forces, np.tile(base.forces, (4, 1)), atol=2e-5)


def test_same_bits_every_time(artefact: Path, structures: dict[str, Atoms]) -> None:
    salt = structures["salt"]
    first = Calculator(artefact, threads=2).evaluate(salt)
    again = Calculator(artefact, threads=2)
    for _ in range(5):
        second = again.evaluate(salt)
        assert second.energy == first.energy
        np.testing.assert_array_equal(second.forces, first.forces)
        np.testing.assert_array_equal(second.virial, first.virial)


def test_number_of_threads_does_not_matter(artefact: Path, structures: dict[str, Atoms]) -> None:
    one, two = (Calculator(artefact, threads=n).evaluate(structures["salt"]) for n in (1, 2))
    assert one.energy == pytest.approx(two.energy, abs=1e-6)
    np.testing.assert_allclose(one.forces, two.forces, rtol=0, atol=1e-6)


def test_moving_atoms_one_by_one_equals_starting_anew(
    artefact: Path, structures: dict[str, Atoms]
) -> None:
    atoms = structures["slab"].copy()
    atoms.calc = Calculator(artefact, threads=1, skin=0.4)
    rng = np.random.default_rng(5)
    for _ in range(12):
        atoms.positions += rng.normal(scale=0.03, size=atoms.positions.shape)
        fresh = Calculator(artefact, threads=1).evaluate(atoms)
        np.testing.assert_allclose(atoms.get_forces(), fresh.forces, rtol=0, atol=2e-5)
    assert atoms.calc.table.n_searches < 12


def test_energy_includes_element_energies_and_offset_in_float64(
    calculator: Calculator, potential: Potential
) -> None:
    result = calculator.evaluate(Atoms("H"))
    assert result.energies.dtype == np.float64
    assert result.energy == pytest.approx(result.energies.sum() + 0.25, abs=1e-12)
    assert result.energies[0] < -900


def test_free_energy_and_cache(calculator: Calculator, structures: dict[str, Atoms]) -> None:
    atoms = structures["triclinic"].copy()
    atoms.calc = calculator
    energy = atoms.get_potential_energy()
    assert atoms.get_potential_energy(force_consistent=True) == energy
    forces = atoms.get_forces()
    atoms.set_initial_magnetic_moments([1.0] * 4)
    assert atoms.get_potential_energy() == energy
    atoms.positions[0, 0] += 0.1
    assert atoms.get_potential_energy() != energy
    assert np.abs(atoms.get_forces() - forces).max() > 0


@pytest.mark.parametrize("name", ["slab", "wire", "molecule"])
def test_no_stress_without_volume(
    calculator: Calculator, structures: dict[str, Atoms], name: str
) -> None:
    atoms = structures[name].copy()
    atoms.calc = calculator
    with pytest.raises(PropertyNotImplementedError, match="periodic in all directions"):
        atoms.get_stress()
    atoms.get_potential_energy()
    with pytest.raises(PropertyNotImplementedError, match="periodic in all directions"):
        atoms.get_stress()


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (
            Atoms("NaFe", positions=[[0, 0, 0], [2, 0, 0]]),
            r"does not know Fe \(atom 1, counting from 0\)",
        ),
        (Atoms(), "no atoms"),
        (
            Atoms("Si2", positions=[[0, 0, 0], [np.nan, 0, 0]]),
            r"atom 1 \(counting from 0\) is not finite",
        ),
        (
            Atoms("Si2", positions=[[0, 0, 0], [np.inf, 0, 0]]),
            r"atom 1 \(counting from 0\) is not finite",
        ),
        (Atoms("Si2", positions=[[0, 0, 0], [0, 0, 0]]), r"atoms 0 and 1 \(counting from 0\) are"),
        (
            Atoms("Si2", positions=[[0, 0, 0], [4, 0, 0]], cell=[4, 4, 4], pbc=True),
            r"atoms 0 and 1 \(counting from 0\) are",
        ),
        (Atoms("Si", cell=[[1, 0, 0], [2, 0, 0], [0, 0, 3]], pbc=True), "singular"),
        (Atoms("Si", pbc=True), "singular"),
        (Atoms("Si", cell=[np.nan, 3, 3], pbc=True), "cell holds values that are not finite"),
    ],
)
def test_structures_without_a_meaningful_energy(
    calculator: Calculator, structures: dict[str, Atoms], atoms: Atoms, message: str
) -> None:
    # A good structure before and after: nothing of a refused one may stick.
    good = structures["triclinic"]
    before = calculator.evaluate(good)
    broken = atoms.copy()
    broken.calc = calculator
    for _ in range(2):
        with pytest.raises(StructureError, match=message):
            broken.get_potential_energy()
    np.testing.assert_array_equal(calculator.evaluate(good).forces, before.forces)


def test_calculating_nothing_is_refused(calculator: Calculator) -> None:
    with pytest.raises(StructureError, match="no structure was given"):
        calculator.calculate()


GROWTH = """
import sys
from ase.build import bulk
from m3compress import Calculator
from m3compress.analysis.timing import PeakMemory

calculator = Calculator(sys.argv[1], threads=1)
atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat((4, 4, 4))
calculator.evaluate(bulk("Si"))
memory = PeakMemory()
for scale in (1.0, 0.99, 0.95, 0.93, 0.9):
    crowded = atoms.copy()
    crowded.rattle(0.05, seed=2)
    crowded.set_cell(atoms.cell * scale, scale_atoms=True)
    calculator.evaluate(crowded)
    print(memory.bytes())
"""


def test_memory_of_a_table_that_grows_is_that_of_the_largest(artefact: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", GROWTH, str(artefact)], capture_output=True, text=True, check=True
    )
    peaks = [int(line) for line in run.stdout.split()]
    # The densest cell has a fifth more neighbours; keeping all earlier blocks would add half.
    assert peaks[-1] < 1.35 * peaks[0], peaks


def test_stresses_of_atoms_sum_to_the_stress(calculator: Calculator) -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.2, cubic=True)
    atoms.rattle(0.1, seed=1)
    atoms.calc = calculator
    stresses = atoms.get_stresses()
    assert stresses.shape == (8, 6)
    assert np.ptp(stresses, axis=0).max() > 1e-4
    np.testing.assert_allclose(stresses.sum(axis=0), atoms.get_stress(), atol=1e-12)


def test_no_stresses_of_atoms_where_only_their_sum_is_known(calculator: Calculator) -> None:
    class Sum(EvaluatorCalculator):
        def evaluate(self, atoms: Atoms) -> Evaluation:
            return replace(super().evaluate(atoms), virials=None)

    atoms = bulk("NaCl", "rocksalt", a=5.2, cubic=True)
    atoms.calc = Sum(calculator.evaluator)
    assert atoms.get_stress().shape == (6,)
    with pytest.raises(PropertyNotImplementedError, match="stresses not present"):
        atoms.get_stresses()


def test_stresses_of_atoms_are_there_once_they_are_asked_for_and_cost_no_evaluation(
    calculator: Calculator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    evaluate = calculator.evaluate
    monkeypatch.setattr(calculator, "evaluate", lambda a: asked.append(1) or evaluate(a))
    atoms = bulk("NaCl", "rocksalt", a=5.2, cubic=True)
    atoms.calc = calculator
    atoms.get_forces()
    assert "stresses" not in calculator.results
    stresses = atoms.get_stresses()
    assert "stresses" in calculator.results
    atoms.get_stress()
    assert len(asked) == 1
    atoms.rattle(0.1, seed=2)
    assert np.abs(atoms.get_stresses() - stresses).max() > 1e-4
    assert len(asked) == 2
    atoms.rattle(0.1, seed=3)
    calculator.calculate(atoms, ["forces"], [])  # whatever a caller says of changes
    np.testing.assert_array_equal(calculator.results["forces"], evaluate(atoms).forces)


def test_a_structure_that_fails_has_no_numbers_of_the_one_before(calculator: Calculator) -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.2, cubic=True)
    atoms.calc = calculator
    atoms.get_forces()
    atoms.positions[0] = np.nan
    for _ in range(2):
        for ask in (atoms.get_forces, atoms.get_stresses, atoms.get_potential_energy):
            with pytest.raises(StructureError):
                ask()
