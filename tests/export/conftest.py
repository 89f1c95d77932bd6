"""Potentials to export: real weights, and the runner that loads an exported file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from m3compress.api import load_potential
from m3compress.contract.manifest import Manifest
from m3compress.engines.codes.ase import Calculator
from m3compress.models.config import CONVENTIONS
from m3compress.models.network import M3GNet
from m3compress.models.potential import Potential
from m3compress.models.readers.matgl import read_matgl
from m3compress.models.readers.tensorflow import read_tensorflow

Export = Callable[..., tuple[Path, Manifest]]


@pytest.fixture(scope="session")
def builtin() -> Potential:
    return load_potential("builtin", convention="matgl-4.1")


@pytest.fixture(scope="session")
def one_block(builtin: Potential) -> Potential:
    """The built-in model without its later blocks: another model, and quick to trace."""
    network = M3GNet(replace(builtin.config, n_blocks=1)).to(torch.float64)
    network.load_state_dict(builtin.network.state_dict(), strict=False)
    return replace(builtin, network=network.eval().requires_grad_(requires_grad=False))


@pytest.fixture(scope="session")
def tensorflow_original(shared: Path) -> Potential:
    return read_tensorflow(shared / "models" / "M3GNet-MP-2021.2.8-EFS-tensorflow")


@pytest.fixture(scope="session")
def dgl_era(shared: Path) -> Potential:
    model = read_matgl(shared / "models" / "M3GNet-MP-2021.2.8-PES")
    return model.with_convention(CONVENTIONS["matgl-dgl"], {})


@pytest.fixture(scope="session")
def make_calculator(
    tmp_path_factory: pytest.TempPathFactory, write_artefact: Callable[..., Path]
) -> Callable[..., Calculator]:
    """Export a potential (once per potential, form and precision) and open it."""
    written: dict[tuple[int, str, str], Path] = {}

    def make(potential: Potential, precision: str = "float32", threads: int = 1) -> Calculator:
        key = (id(potential.element_energies), str(potential.form), precision)
        if key not in written:
            folder = tmp_path_factory.mktemp("artefact")
            written[key] = write_artefact(folder / "model.m3c.onnx", potential, precision)
        return Calculator(written[key], threads=threads, on_overlap="ignore")

    return make
