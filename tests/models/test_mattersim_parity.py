"""Parity with MatterSim 1.2.3 in double precision: its own network, bond and triplet lists.

Only the network and the graph convertor are imported, past the package's ``__init__``, which needs
much that nothing here uses. MatterSim keeps the constants of its bases in float32, which its models
were trained with: so does our reading of them.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms

from m3compress.contract.forms import FACTORIZED, REMOVED
from m3compress.models.potential import Potential, evaluate
from m3compress.models.readers.mattersim import read_mattersim

for _package in ("mattersim", "e3nn", "torch_runstats", "pymatgen", "torch_geometric"):
    if importlib.util.find_spec(_package) is None:
        pytest.skip(f"{_package} is not installed", allow_module_level=True)

ENERGY_TOLERANCE = 1e-6  # eV/atom
FORCE_TOLERANCE = 1e-5  # eV/Å
STRESS_TOLERANCE = 1e-6  # eV/Å³

CONFIGURATIONS = {
    "1M": {"num_blocks": 3, "units": 128},
    "5M-narrow": {"num_blocks": 4, "units": 32},
    "n3-l3": {
        "num_blocks": 2, "units": 16, "max_n": 3, "max_l": 3, "max_z": 30,
        "cutoff": 6.0, "threebody_cutoff": 3.5,
    },
}  # fmt: skip
_PARENTS = (
    "mattersim",
    "mattersim.datasets",
    "mattersim.datasets.utils",
    "mattersim.forcefield",
    "mattersim.forcefield.m3gnet",
)


@pytest.fixture(scope="module")
def mattersim() -> Iterator[types.SimpleNamespace]:
    """MatterSim's network and graph convertor behind empty parent packages."""
    before = {name: module for name, module in sys.modules.items() if name.startswith("mattersim")}
    root = Path(importlib.util.find_spec("mattersim").submodule_search_locations[0])
    for name in _PARENTS:
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(root.joinpath(*name.split(".")[1:]))]
    # Fits reference energies with scikit-learn; the network only imports the name.
    regressor = types.ModuleType("mattersim.datasets.utils.regressor")
    regressor.solver = None
    sys.modules[regressor.__name__] = regressor
    try:
        yield types.SimpleNamespace(
            network=importlib.import_module("mattersim.forcefield.m3gnet.m3gnet"),
            graph=importlib.import_module("mattersim.datasets.utils.convertor"),
        )
    finally:
        for name in [name for name in sys.modules if name.startswith("mattersim")]:
            del sys.modules[name]
        sys.modules.update(before)


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def both(
    request: pytest.FixtureRequest,
    mattersim: types.SimpleNamespace,
    tmp_path_factory: pytest.TempPathFactory,
    randomize_weights: Callable[[torch.nn.Module, int], None],
) -> tuple[Any, Potential]:
    """A random MatterSim network, and the same one read from a checkpoint in its format."""
    theirs = mattersim.network.M3Gnet(device="cpu", **CONFIGURATIONS[request.param])
    randomize_weights(theirs, 7)
    rng = np.random.default_rng(7)
    n_rows = theirs.max_z + 1
    theirs.normalizer.scale.copy_(torch.tensor(rng.uniform(1.0, 3.0, n_rows)))
    theirs.normalizer.shift.copy_(torch.tensor(rng.normal(0.0, 3.0, n_rows)))
    optimizer = torch.optim.Adam(theirs.parameters())
    checkpoint = {  # as Potential.save writes it
        "model_name": "m3gnet",
        "model": theirs.state_dict(),
        "model_args": theirs.get_model_args(),
        "optimizer": optimizer.state_dict(),
        "ema": {"decay": 0.99, "num_updates": 0, "shadow_params": [torch.ones(2)]},
        "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, step_size=10).state_dict(),
        "last_epoch": 3,
        "validation_metrics": {"loss": 0.1},
        "description": "",
    }
    path = tmp_path_factory.mktemp("mattersim") / "best_model.pth"
    torch.save(checkpoint, path)
    return theirs.double().eval(), read_mattersim(path)


@pytest.fixture
def in_double(monkeypatch: pytest.MonkeyPatch) -> None:
    """MatterSim casts some inputs with ``.float()``; let that mean float64 for a while."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)


def _mattersim_results(
    theirs: Any, graph: Any, atoms: Atoms
) -> tuple[float, np.ndarray, np.ndarray]:
    """Energy (eV), forces (eV/Å) and ∂E/∂strain (eV) by MatterSim."""
    atoms = atoms.copy()
    if not atoms.pbc.any():
        atoms.set_cell(np.eye(3) * 60.0)
        atoms.pbc = True
    arguments = theirs.model_args
    i, j, images, distances = graph.get_fixed_radius_bonding(atoms, arguments["cutoff"])
    triplets, per_edge, *_ = graph.compute_threebody_indices(
        np.stack([i, j], axis=1),
        distances,
        len(atoms),
        atoms.numbers,
        arguments["threebody_cutoff"],
    )
    positions = torch.tensor(atoms.positions, requires_grad=True)
    strain = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    deformation = torch.eye(3, dtype=torch.float64) + strain
    energy = theirs(
        {
            "atom_pos": positions @ deformation,
            "cell": (torch.tensor(np.array(atoms.cell)) @ deformation).unsqueeze(0),
            "pbc_offsets": torch.tensor(images, dtype=torch.float64),
            "atom_attr": torch.tensor(atoms.numbers, dtype=torch.float64).unsqueeze(1),
            "edge_index": torch.tensor(np.stack([i, j])),
            "three_body_indices": torch.tensor(triplets),
            "num_three_body": torch.tensor([len(triplets)]),
            "num_bonds": torch.tensor([len(i)]),
            "num_triple_ij": torch.tensor(per_edge).long().unsqueeze(1),
            "num_atoms": torch.tensor([len(atoms)]),
            "num_graphs": torch.tensor(1),
            "batch": torch.zeros(len(atoms), dtype=torch.long),
        }
    ).sum()
    on_positions, on_strain = torch.autograd.grad(energy, [positions, strain])
    return energy.item(), -on_positions.numpy(), on_strain.numpy()


def test_energies_forces_and_stresses_agree(
    both: Any,
    mattersim: types.SimpleNamespace,
    in_double: None,
    structures: dict[str, Atoms],
) -> None:
    theirs, ours = both
    largest_force = 0.0
    for name, atoms in structures.items():
        energy, forces, virial = _mattersim_results(theirs, mattersim.graph, atoms)
        volume = atoms.get_volume() if atoms.pbc.any() else 10.0 * len(atoms)
        for form in (ours.form, FACTORIZED):
            found = evaluate(ours.with_form(form), atoms)
            case = (name, str(form))
            assert abs(found.energy - energy) / len(atoms) <= ENERGY_TOLERANCE, case
            assert np.abs(found.forces - forces).max() <= FORCE_TOLERANCE, case
            assert np.abs(found.virial - virial).max() / volume <= STRESS_TOLERANCE, case
        largest_force = max(largest_force, np.abs(forces).max())
    assert largest_force > 0.5, "the forces are too small for the comparison to mean something"


def test_the_three_body_block_takes_part_in_the_comparison(
    both: Any, structures: dict[str, Atoms]
) -> None:
    _, ours = both
    shifts = [
        np.abs(evaluate(ours, atoms).forces - evaluate(ours.with_form(REMOVED), atoms).forces).max()
        for atoms in structures.values()
    ]
    assert max(shifts) > 1000 * FORCE_TOLERANCE


def test_the_configuration_is_that_of_the_file(both: Any) -> None:
    theirs, ours = both
    assert ours.config.convention.name == "mattersim"
    assert len(ours.config.elements) == theirs.max_z
    assert ours.config.elements[:2] == ("H", "He")
    assert ours.provenance.format == "mattersim"
    n_theirs = sum(p.numel() for p in theirs.parameters())
    n_ours = sum(p.numel() for p in ours.network.parameters())
    assert n_theirs - n_ours == theirs.model_args["units"]  # the embedding of Z = 0
