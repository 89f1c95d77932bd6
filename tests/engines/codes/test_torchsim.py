"""TorchSim with an exported file: the contract, TorchSim's own test, batches."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk, molecule
from md_codes import require
from native_library import built_library
from random_networks import CASES, random_potential, write_native_artefact

torch_sim = require("torch_sim")

import torch  # noqa: E402
from torch_sim.models.interface import validate_model_outputs  # noqa: E402

from m3compress.contract.forms import FACTORIZED  # noqa: E402
from m3compress.engines.codes.torchsim import Model  # noqa: E402
from m3compress.engines.conformance.codes.torchsim import open_torchsim  # noqa: E402
from m3compress.engines.conformance.contract import examine  # noqa: E402
from m3compress.errors import ArtefactError, StructureError  # noqa: E402
from m3compress.models.structures.crystals import build_crystal  # noqa: E402

CPU = torch.device("cpu")


def test_it_does_not_run_elsewhere_than_told(silica_native):
    with pytest.raises(ArtefactError, match="device='cuda'"):
        Model(silica_native, device=torch.device("cuda"), threads=1)


@pytest.fixture
def three():
    """Crystals of different sizes, none at rest."""
    quartz, stishovite = build_crystal("SiO2-quartz"), build_crystal("SiO2-stishovite")
    systems = [quartz, stishovite, bulk("Si", cubic=True)]
    for number, atoms in enumerate(systems):
        atoms.rattle(0.05, seed=number)
    return systems


def test_it_keeps_the_contract(silica_native, silica):
    found = examine(open_torchsim(silica_native, 1), silica, build_crystal("SiO2-quartz"))
    assert found.broken == ()
    open_clauses = {clause.name for clause in found.clauses if clause.holds is None}
    no_parts = {"virials of atoms", "energies of atoms", "sum of energies of atoms"}
    assert open_clauses == {"slab, open", *no_parts}


@pytest.mark.parametrize("compute_stress", [True, False])
def test_the_test_of_torchsim(compute_stress, tmp_path, monkeypatch):
    built_library()
    monkeypatch.setitem(CASES, "iron", ("tf", FACTORIZED, {"elements": ("Si", "Fe")}))
    path = write_native_artefact(tmp_path / "model.m3c.safetensors", random_potential("iron"))
    model = Model(path, compute_stress=compute_stress, threads=1)
    validate_model_outputs(model, CPU, torch.float64)


def test_a_batch_is_one_evaluation(silica_native, silica, three, monkeypatch):
    model = Model(silica_native, threads=1)
    calls = []
    inner = model.evaluator.engine.run
    monkeypatch.setattr(model.evaluator.engine, "run", lambda i: (calls.append(1), inner(i))[1])
    output = model(torch_sim.io.atoms_to_state(three, CPU, torch.float64))
    assert len(calls) == 1
    begin = 0
    for number, atoms in enumerate(three):
        alone, end = silica.evaluate(atoms), begin + len(atoms)
        assert float(output["energy"][number]) == pytest.approx(alone.energy, abs=1e-5)
        assert np.allclose(output["forces"][begin:end], alone.forces, atol=1e-5)
        stress = (alone.virial + alone.virial.T) / (2 * atoms.get_volume())
        assert np.allclose(output["stress"][number], stress, atol=1e-6)
        begin = end


def test_graphs_of_onnx_run_too(silica_artefact, silica, three):
    state = torch_sim.io.atoms_to_state(three, CPU, torch.float64)
    expected = [silica.evaluate(atoms).energy for atoms in three]
    for stress in (True, False):
        output = Model(silica_artefact, compute_stress=stress, threads=1)(state)
        assert np.allclose(output["energy"], expected, atol=1e-4)
        assert ("stress" in output) == stress


def test_numbers_are_of_the_type_that_was_asked_for(silica_native, three):
    model = Model(silica_native, dtype=torch.float32, threads=1)
    output = model(torch_sim.io.atoms_to_state(three, CPU, torch.float32))
    assert {value.dtype for value in output.values()} == {torch.float32}
    assert model.dtype == torch.float32


def test_one_bad_system_ends_the_batch(silica_native, three):
    model = Model(silica_native, threads=1)
    state = torch_sim.io.atoms_to_state(three, CPU, torch.float64)
    state.positions[len(three[0]) + 1, 2] = torch.nan
    with pytest.raises(StructureError, match=r"the position of atom 1 .* is not finite"):
        model(state)
    foreign = torch_sim.io.atoms_to_state([molecule("H2O", vacuum=4)], CPU, torch.float64)
    with pytest.raises(StructureError, match="does not know H"):
        model(foreign)
