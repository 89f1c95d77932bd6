"""Structures and untrained networks that the tests of the models share."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from random_weights import SMALL, randomize

from m3compress.contract.forms import TRIPLETS, ThreeBodyForm
from m3compress.models.config import CONVENTIONS, M3GNetConfig
from m3compress.models.network import M3GNet
from m3compress.models.potential import Potential, Provenance

ELEMENTS = ("H", "C", "O", "Na", "Cl", "Si", "Ti")


@pytest.fixture(scope="session")
def structures() -> dict[str, Atoms]:
    """Cells of many kinds from :data:`ELEMENTS`; no pair lies on a cutoff that the tests use."""
    triclinic = Atoms(
        "NaClOTi",
        scaled_positions=[[0, 0, 0], [0.5, 0.45, 0.1], [0.2, 0.6, 0.55], [0.7, 0.15, 0.6]],
        cell=[[3.9, 0.3, -0.2], [1.1, 4.2, 0.4], [-0.6, 0.8, 4.6]],
        pbc=True,
    )
    self_images = Atoms("Si", cell=[[2.52, 0, 0], [0.2, 2.61, 0], [0.1, 0.3, 2.73]], pbc=True)
    cluster = Atoms(
        "OH2CNaH",
        positions=[
            [0, 0, 0],
            [0.95, 0.1, 0],
            [-0.3, 0.9, 0.1],
            [2.1, -1.2, 0.8],
            [-2.2, -0.9, 1.4],
            [3.2, 0.2, -0.9],
        ],
    )
    salt = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat((2, 2, 2))
    salt.rattle(0.1, seed=1)
    mixed = bulk("Si", "diamond", a=5.43).repeat((2, 2, 1))
    mixed.numbers[::3] = 8
    mixed.numbers[1::4] = 22
    mixed.rattle(0.2, seed=2)
    return {
        "triclinic": triclinic,
        "self-images": self_images,
        "cluster": cluster,
        "salt": salt,
        "mixed": mixed,
    }


@pytest.fixture(scope="session")
def random_potential() -> Callable[..., Potential]:
    """Make one whose three-body block matters: ``make(seed, convention, **sizes)``."""

    def make(seed: int = 0, convention: str = "tf", **sizes: object) -> Potential:
        config = M3GNetConfig(
            **{**SMALL, "elements": ELEMENTS, **sizes}, convention=CONVENTIONS[convention]
        )
        network = M3GNet(config).to(torch.float64)
        randomize(network, seed)
        return Potential(
            network=network.eval().requires_grad_(requires_grad=False),
            form=TRIPLETS,
            element_energies=np.linspace(-3.0, 2.0, len(config.elements)),
            energy_offset=0.25,
            provenance=Provenance(format="random", path="nowhere", sha256="0" * 64),
        )

    return make


@pytest.fixture(scope="session")
def randomize_weights() -> Callable[[torch.nn.Module, int], None]:
    """Draw the weights of a network of any package so that forces are some eV/Å."""
    return randomize


@pytest.fixture
def unusual_potential(random_potential: Callable[..., Potential]) -> Potential:
    """A potential with everything that a file must carry away from its default."""
    made = random_potential(5, "mattersim", max_l=2)
    with torch.no_grad():
        made.network.scales.copy_(torch.linspace(1, 2, 7, dtype=torch.float64))
    provenance = replace(made.provenance, evidence={"why": "a test", "numbers": [1.5, 2]})
    form = ThreeBodyForm(name="pruned", fraction=0.3, seed=9)
    return replace(made, form=form, provenance=provenance)


@pytest.fixture
def matgl_folder(shared: Path, tmp_path: Path) -> Path:
    """A copy of a real matgl model to damage."""
    return _writable_copy(shared / "models" / "M3GNet-r2SCAN-NaBH", tmp_path / "matgl")


@pytest.fixture
def tensorflow_folder(shared: Path, tmp_path: Path) -> Path:
    return _writable_copy(
        shared / "models" / "M3GNet-MP-2021.2.8-EFS-tensorflow", tmp_path / "tensorflow"
    )


def _writable_copy(source: Path, target: Path) -> Path:
    target.mkdir()
    for file in source.iterdir():
        shutil.copyfile(file, target / file.name)
    return target


@pytest.fixture
def mattersim_file(tmp_path: Path, mattersim_checkpoint: Callable[..., dict[str, Any]]) -> Path:
    path = tmp_path / "mattersim.pth"
    torch.save(mattersim_checkpoint(), path)
    return path


@pytest.fixture(scope="session")
def mattersim_checkpoint() -> Callable[..., dict[str, Any]]:
    """Make the content of a small MatterSim file: ``make(**changed_arguments)``."""
    return _mattersim_checkpoint


def _mattersim_checkpoint(**changed: Any) -> dict[str, Any]:
    """The layout of mattersim 1.2.3 with 8 units, 1 block and 5 elements."""
    arguments = {
        "num_blocks": 1, "units": 8, "max_l": 4, "max_n": 4, "cutoff": 5.0, "max_z": 5,
        "threebody_cutoff": 4.0, **changed,
    }  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    units, basis = 8, 4
    state = {"rbf.r_max": torch.tensor(5.0), "sbf.coef": torch.zeros(4, 9, 4)}

    def linear(name: str, n_in: int, n_out: int, bias: bool = True) -> None:
        state[f"{name}.linear.weight"] = torch.randn(n_out, n_in, generator=generator)
        if bias:
            state[f"{name}.linear.bias"] = torch.randn(n_out, generator=generator)

    linear("edge_encoder.mlp.0", basis, units, bias=False)
    linear("atom_embedding.mlp.0", 6, units, bias=False)
    block = "graph_conv.0"
    linear(f"{block}.three_body.atom_mlp", units, basis**2)
    linear(f"{block}.edge_layer_atom", basis, units, bias=False)
    linear(f"{block}.edge_layer_edge", basis, units, bias=False)
    for branch in ("g", "sigma"):
        linear(f"{block}.three_body.edge_gate_mlp.{branch}.0", basis**2, units, bias=False)
        for kind in ("atom", "edge"):
            linear(f"{block}.gated_mlp_{kind}.{branch}.0", 3 * units, units)
            linear(f"{block}.gated_mlp_{kind}.{branch}.1", units, units)
        for layer, width in enumerate((units, units, 1)):
            linear(f"final.{branch}.{layer}", units, width)
    state["normalizer.scale"] = torch.arange(6.0) + 1
    state["normalizer.shift"] = -torch.arange(6.0)
    return {"model_name": "m3gnet", "model": state, "model_args": arguments}
