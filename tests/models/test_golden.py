"""Numbers that other codes produced: matgl of the DGL era, and the published ones of TensorFlow."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.io import read
from scipy.optimize import minimize_scalar

from m3compress.contract.forms import FACTORIZED, MISROUTED, REMOVED, ThreeBodyForm
from m3compress.contract.neighbors import Edges, find_edges
from m3compress.models.config import CONVENTIONS
from m3compress.models.potential import Potential, evaluate
from m3compress.models.readers.matgl import read_matgl
from m3compress.models.readers.tensorflow import read_tensorflow

MODELS = (
    "M3GNet-MP-2021.2.8-PES",
    "M3GNet-MatPES-PBE-v2025.1-PES",
    "M3GNet-MatPES-r2SCAN-v2025.1-PES",
)
# The misrouted sums depend on the order of the edges, another one in matgl, and the golden
# numbers are float32: neither form can agree to rounding (eV/atom, eV/Å, eV/Å³).
TOLERANCES = {
    MISROUTED: {"energy": 2e-5, "forces": 5e-4, "stress": 2e-5},
    REMOVED: {"energy": 5e-5, "forces": 1e-3, "stress": 2e-5},
}


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, list[Atoms]]:
    """The ten frames of every model, with energies, forces and stresses of matgl 2.0.4."""
    frames = read(shared / "golden" / "matgl-dgl-era.extxyz", ":")
    return {name: [a for a in frames if a.info["model"] == name] for name in MODELS}


@pytest.fixture(scope="module", params=MODELS)
def dgl_model(request: pytest.FixtureRequest, shared: Path) -> tuple[str, Potential]:
    potential = read_matgl(shared / "models" / request.param)
    return request.param, potential.with_convention(CONVENTIONS["matgl-dgl"], {})


def _largest_errors(potential: Potential, frames: list[Atoms]) -> dict[str, float]:
    errors = {"energy": 0.0, "forces": 0.0, "stress": 0.0}
    for atoms in frames:
        found = evaluate(potential, atoms)
        stress = np.array(atoms.info["stress_voigt"], dtype=float)
        here = {
            "energy": abs(found.energy - atoms.get_potential_energy()) / len(atoms),
            "forces": np.abs(found.forces - atoms.get_forces()).max(),
            "stress": np.abs(found.stress(atoms) - stress).max(),
        }
        errors = {name: max(errors[name], float(value)) for name, value in here.items()}
    return errors


@pytest.mark.parametrize("form", [MISROUTED, REMOVED], ids=str)
def test_dgl_era_matgl_is_reproduced(
    form: ThreeBodyForm, dgl_model: tuple[str, Potential], golden: dict[str, list[Atoms]]
) -> None:
    name, potential = dgl_model
    assert len(golden[name]) == 10
    errors = _largest_errors(potential.with_form(form), golden[name])
    for quantity, tolerance in TOLERANCES[form].items():
        assert errors[quantity] <= tolerance, errors


def test_the_newer_aggregation_is_far_off(
    dgl_model: tuple[str, Potential], golden: dict[str, list[Atoms]]
) -> None:
    name, potential = dgl_model
    wrong = potential.with_convention(CONVENTIONS["matgl-4.1"], {})
    assert _largest_errors(wrong, golden[name])["forces"] > 0.5


@pytest.fixture(scope="module")
def original(shared: Path) -> Potential:
    return read_tensorflow(shared / "models" / "M3GNet-MP-2021.2.8-EFS-tensorflow")


def test_the_original_gives_the_published_molybdenum(original: Potential) -> None:
    """Bcc Mo relaxes to 3.17 Å and −10.859 eV/atom in the README of the original M3GNet."""

    def energy(lattice_constant: float) -> float:
        return evaluate(original, bulk("Mo", "bcc", a=lattice_constant)).energy

    minimum = minimize_scalar(
        energy, bounds=(3.10, 3.24), method="bounded", options={"xatol": 1e-5}
    )
    assert minimum.x == pytest.approx(3.169, abs=0.001)
    assert minimum.fun == pytest.approx(-10.859, abs=0.001)


def test_the_original_reads_the_same_as_its_plain_arrays(original: Potential, shared: Path) -> None:
    arrays = np.load(shared / "models" / "M3GNet-MP-2021.2.8-EFS-tensorflow" / "weights.npz")
    weights = original.network.state_dict()
    numbers = [Atoms(symbol).numbers[0] for symbol in original.config.elements]
    assert np.array_equal(weights["embedding.weight"], arrays["embed"][numbers])
    assert np.array_equal(weights["edge_embedding.weight"], arrays["edge_w"])
    assert np.array_equal(weights["blocks.1.three_body.update.gate.0.weight"], arrays["tb1.bond.g"])
    assert np.array_equal(
        weights["blocks.2.node_update.value.1.bias"], arrays["gl2.node.layers.2.bias"]
    )
    assert np.array_equal(weights["readout.gate.2.weight"], arrays["final.gates.4.weight"])
    assert original.element_energies == pytest.approx(arrays["refs"][numbers], abs=1e-5)


def test_removal_costs_the_original_what_factorising_does_not(
    original: Potential, golden: dict[str, list[Atoms]]
) -> None:
    atoms = golden[MODELS[0]][0]
    reference = evaluate(original, atoms).forces
    removed = evaluate(original.with_form(REMOVED), atoms).forces
    factorized = evaluate(original.with_form(FACTORIZED), atoms).forces
    assert np.abs(removed - reference).mean() > 0.02
    assert np.abs(factorized - reference).max() < 1e-10


def test_dgl_era_matgl_to_rounding_in_its_own_edge_order(
    dgl_model: tuple[str, Potential], golden: dict[str, list[Atoms]]
) -> None:
    """The misrouted sums depend on the order of the edges; in matgl's own order they agree."""
    name, potential = dgl_model
    order = _legacy_order()
    single = potential.to(torch.float32)
    for atoms in golden[name]:
        cell = np.asarray(atoms.cell)
        # matgl's edge criterion is r² < cutoff² + 1e-8 in Å².
        edges, _ = find_edges(atoms, potential.config.cutoff + 1e-9)
        listed = (edges.centers, edges.neighbors, edges.images)
        rows = order(atoms.positions, cell, listed, potential.config.cutoff)
        ordered = Edges(*(array[rows] for array in listed), len(atoms))
        found = evaluate(single, atoms, (ordered, ordered.vectors(atoms.positions, cell)))
        assert abs(found.energy - atoms.get_potential_energy()) / len(atoms) <= 5e-6
        assert np.abs(found.forces - atoms.get_forces()).max() <= 1e-4


def _legacy_order() -> Callable[..., np.ndarray]:
    """The edge order of DGL-era matgl, from the script that recomputes its values."""
    path = Path(__file__).parents[2] / "benchmarks" / "legacy_dgl" / "bond_order.py"
    spec = importlib.util.spec_from_file_location("legacy_bond_order", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.pymatgen_order
