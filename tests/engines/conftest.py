"""An artefact made by the real exporter from an untrained network, and structures to run it on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111, molecule

from m3compress import Calculator
from m3compress.contract.forms import FACTORIZED, TRIPLETS
from m3compress.models.config import CONVENTIONS, M3GNetConfig
from m3compress.models.network import M3GNet
from m3compress.models.potential import Potential, Provenance

ELEMENTS = ("H", "O", "Na", "Si", "Cl")
CUTOFF = 5.0

ArtefactWriter = Callable[[Path, Potential], Path]


@pytest.fixture(scope="session")
def potential() -> Potential:
    """An untrained network whose forces are some eV/Å, in float64, with explicit triplets."""
    config = M3GNetConfig(
        elements=ELEMENTS,
        cutoff=CUTOFF,
        three_body_cutoff=4.0,
        max_n=3,
        max_l=3,
        n_blocks=2,
        node_width=12,
        edge_width=10,
        hidden=(16,),
        readout_hidden=(16, 16),
        edge_basis="smooth",
        triplet_basis="bessel",
        edge_bias=False,
        message_activation="silu",
        convention=CONVENTIONS["tf"],
    )
    network = M3GNet(config).to(torch.float64)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            gain = 4.0 if "three_body" in name else 1.5
            is_embedding = name == "embedding.weight"
            scale = gain / parameter.shape[-1] ** 0.5 if parameter.ndim == 2 else 0.3
            parameter.copy_(drawn * (1.0 if is_embedding else scale))
        network.scales.copy_(torch.linspace(20.0, 40.0, len(ELEMENTS), dtype=torch.float64))
    return Potential(
        network=network.eval().requires_grad_(requires_grad=False),
        form=TRIPLETS,
        element_energies=np.linspace(-1003.0, 2.0, len(ELEMENTS)),
        energy_offset=0.25,
        provenance=Provenance(format="random", path="nowhere", sha256="0" * 64),
    )


@pytest.fixture(scope="session")
def artefact(
    made_once: Callable[..., Path], write_artefact: ArtefactWriter, potential: Potential
) -> Path:
    """The ``.m3c.onnx`` of :func:`potential`, factorised; not to be changed."""
    name, factorised = "model.m3c.onnx", potential.with_form(FACTORIZED)
    return made_once("untrained", lambda folder: write_artefact(folder / name, factorised)) / name


@pytest.fixture
def copied(artefact: Path, tmp_path: Path) -> Path:
    """A copy of the artefact to damage."""
    for file in (artefact, artefact.with_suffix(".json")):
        shutil.copyfile(file, tmp_path / file.name)
    return tmp_path / artefact.name


@pytest.fixture
def calculator(artefact: Path) -> Calculator:
    return Calculator(artefact, threads=1)


@pytest.fixture(scope="session")
def structures() -> dict[str, Atoms]:
    """Cells of all kinds; no pair is on a cutoff."""
    triclinic = Atoms(
        "NaClOSi",
        scaled_positions=[[0, 0, 0], [0.5, 0.45, 0.1], [0.2, 0.6, 0.55], [0.7, 0.15, 0.6]],
        cell=[[3.9, 0.3, -0.2], [1.1, 4.2, 0.4], [-0.6, 0.8, 4.6]],
        pbc=True,
    )
    tiny = Atoms("Si", cell=[[2.52, 0, 0], [0.2, 2.61, 0], [0.1, 0.3, 2.73]], pbc=True)
    salt = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat((2, 2, 2))
    salt.rattle(0.1, seed=1)
    slab = fcc111("Si", size=(2, 2, 3), a=3.9, vacuum=None)
    slab.pbc = [True, True, False]
    slab.numbers[::4] = 8
    slab.rattle(0.1, seed=2)
    wire = Atoms("SiO", positions=[[0, 0, 0], [1.2, 0.9, 0.3]], cell=[0, 0, 2.9])
    wire.pbc = [False, False, True]
    outside = salt.copy()
    outside.positions[::3] += 2 * outside.cell[0] - outside.cell[1]
    return {
        "triclinic": triclinic,
        "tiny": tiny,
        "salt": salt,
        "slab": slab,
        "wire": wire,
        "molecule": molecule("H2O"),
        "isolated": Atoms("Cl"),
        "isolated in a box": Atoms("Cl", cell=[20, 20, 20], pbc=True),
        "dimer": Atoms("OH", positions=[[0, 0, 0], [0, 0.1, 1.05]]),
        "dimer apart": Atoms("NaCl", positions=[[0, 0, 0], [0, 0.1, CUTOFF + 0.3]]),
        "outside the cell": outside,
    }
