"""The model that comes with the package, against real matgl and against physics."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import units
from ase.build import bulk

from m3compress.contract.forms import FACTORIZED, REMOVED
from m3compress.distill.data.distortions import Distortion
from m3compress.distill.recipes.builtin.frames import PARENTS
from m3compress.engines.dynamics.job import Job
from m3compress.engines.dynamics.loaded import Loaded
from m3compress.engines.dynamics.pool import run_here
from m3compress.models.potential import evaluate
from m3compress.models.readers.matgl import FILES, read_matgl
from m3compress.models.structures.crystals import build_crystal

BUILTIN = Path(str(files("m3compress.models.builtin")))
LARGEST_BYTES = 2_000_000


@pytest.fixture(scope="module")
def builtin():
    return read_matgl(BUILTIN).with_form(FACTORIZED)


@pytest.fixture(scope="module")
def rattled_quartz():
    return Distortion().apply(PARENTS["quartz"](), np.random.default_rng(7), rattle=0.1)


def test_files_are_small_and_have_a_card():
    assert sum((BUILTIN / name).stat().st_size for name in FILES) < LARGEST_BYTES
    assert "BSD-3-Clause" in (BUILTIN / "README.md").read_text(encoding="utf-8")


def test_it_is_a_matgl_4_1_model_of_silica(builtin):
    assert set(builtin.config.elements) == {"O", "Si"}
    assert builtin.config.convention.name == "matgl-4.1"


def test_real_matgl_agrees(builtin, rattled_quartz, matgl):
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


@pytest.mark.parametrize("name", ["quartz", "stishovite"])
def test_angles_matter(builtin, name):
    atoms = Distortion().apply(PARENTS[name](), np.random.default_rng(3), rattle=0.1)
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
    "atoms",
    [build_crystal("SiO2-quartz"), bulk("Si", cubic=True)],
    ids=["quartz", "silicon"],
)
def test_short_dynamics_conserves_energy(builtin, atoms, tmp_path):
    single = builtin.to(torch.float32)
    job = Job(
        name="short",
        evaluator=Loaded(evaluator=single, content="builtin"),
        structure=atoms,
        ensemble="nve",
        temperature=300,
        timestep=1.0,
        equilibration=0,
        steps=200,
        every=1,
        seed=300,
    )
    run = run_here(job, tmp_path, single)
    assert run.broken is None
    totals = [step.info["potential_energy"] + step.info["kinetic_energy"] for step in run.frames]
    assert len(totals) == 200
    assert np.abs(np.array(totals) - totals[0]).max() / len(atoms) < 5e-3
    assert max(step.get_temperature() for step in run.frames) < 1200
