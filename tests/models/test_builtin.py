"""The model that comes with the package, against real matgl and against physics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ase import units
from ase.build import bulk

from m3compress.contract.forms import FACTORIZED, REMOVED
from m3compress.distill.recipes.builtin import frames
from m3compress.distill.recipes.builtin.report import BUILTIN, energy_conservation
from m3compress.models.potential import evaluate
from m3compress.models.readers.matgl import FILES, read_matgl
from m3compress.models.writers.matgl import save_matgl

LARGEST_BYTES = 2_000_000


@pytest.fixture(scope="module")
def builtin():
    return read_matgl(BUILTIN).with_form(FACTORIZED)


@pytest.fixture(scope="module")
def rattled_quartz():
    return frames.distort(frames.quartz().repeat((2, 2, 1)), np.random.default_rng(7), rattle=0.1)


def test_files_are_small_and_have_a_card():
    assert sum((BUILTIN / name).stat().st_size for name in FILES) < LARGEST_BYTES
    assert "BSD-3-Clause" in (BUILTIN / "README.md").read_text(encoding="utf-8")


def test_it_is_a_matgl_4_1_model_of_silica(builtin):
    assert set(builtin.config.elements) == {"O", "Si"}
    assert builtin.config.convention.name == "matgl-4.1"


def test_real_matgl_agrees(builtin, rattled_quartz):
    matgl = pytest.importorskip("matgl")
    ase_interface = pytest.importorskip("matgl.ext.ase")
    theirs = ase_interface.PESCalculator(matgl.load_model(str(BUILTIN)), stress_weight=units.GPa)
    ours = evaluate(builtin.to(torch.float32), rattled_quartz)
    atoms = rattled_quartz.copy()
    atoms.calc = theirs
    assert ours.energy / len(atoms) == pytest.approx(
        atoms.get_potential_energy() / len(atoms), abs=5e-6
    )
    np.testing.assert_allclose(ours.forces, atoms.get_forces(), atol=2e-4)
    np.testing.assert_allclose(ours.stress(atoms), atoms.get_stress(), atol=1e-5)


def test_saving_what_was_read_gives_the_same_model(builtin, rattled_quartz, tmp_path: Path):
    save_matgl(builtin, tmp_path)
    again = read_matgl(tmp_path).with_form(FACTORIZED)
    first, second = evaluate(builtin, rattled_quartz), evaluate(again, rattled_quartz)
    assert second.energy == first.energy
    np.testing.assert_array_equal(second.forces, first.forces)


@pytest.mark.parametrize("name", ["quartz", "stishovite"])
def test_angles_matter(builtin, name):
    atoms = frames.distort(frames.PARENTS[name](), np.random.default_rng(3), rattle=0.1)
    full = evaluate(builtin, atoms).forces
    removed = evaluate(builtin.with_form(REMOVED), atoms).forces
    share = np.sqrt(np.square(removed - full).mean() / np.square(full).mean())
    assert share >= 0.2


def test_forces_are_the_derivative_of_the_energy(builtin, rattled_quartz):
    step, atom, axis = 1e-4, 5, 2
    energies = []
    for sign in (1, -1):
        moved = rattled_quartz.copy()
        moved.positions[atom, axis] += sign * step
        energies.append(evaluate(builtin, moved).energy)
    slope = (energies[0] - energies[1]) / (2 * step)
    assert evaluate(builtin, rattled_quartz).forces[atom, axis] == pytest.approx(-slope, abs=1e-5)


@pytest.mark.parametrize(
    "atoms", [frames.quartz(), bulk("Si", cubic=True)], ids=["quartz", "silicon"]
)
def test_short_dynamics_conserves_energy(builtin, atoms):
    found = energy_conservation(builtin.to(torch.float32), atoms, 300, picoseconds=0.2)
    assert found["largest_excursion_mev_per_atom"] < 5
    assert found["max_temperature_k"] < 1200


def test_plan_holds_test_trajectories_apart():
    groups = frames.plan()
    names = [group.name for group in groups]
    assert len(set(names)) == len(names)
    assert len({group.seed for group in groups}) == len(groups)
    trained = {g.temperature for g in groups if g.split == "train" and g.temperature > 0}
    assert all(
        g.temperature not in trained for g in groups if g.split == "test" and g.temperature > 0
    )
