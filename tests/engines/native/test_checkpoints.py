"""Trained models that are at hand: the native core in float64 says what PyTorch says in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from native_library import core_system
from random_networks import reference_of, write_native_artefact

from m3compress.api import load_potential
from m3compress.contract.forms import FACTORIZED, REMOVED, ThreeBodyForm
from m3compress.engines.native.core import Core
from m3compress.models.potential import Potential, evaluate

#: Name, convention, the form that the core evaluates, and elements in place of Na and Cl.
CHECKPOINTS: tuple[tuple[str, str, ThreeBodyForm, tuple[str, str]], ...] = (
    ("M3GNet-MatPES-PBE-v2025.1-PES", "matgl-dgl", REMOVED, ("Na", "Cl")),
    ("M3GNet-MatPES-r2SCAN-v2025.1-PES", "matgl-dgl", REMOVED, ("Mg", "O")),
    ("M3GNet-MP-2021.2.8-PES", "matgl-dgl", REMOVED, ("U", "N")),
    ("M3GNet-r2SCAN-NaBH", "matgl-dgl", REMOVED, ("Na", "H")),
    ("M3GNet-MP-2021.2.8-EFS-tensorflow", "tf", FACTORIZED, ("Pb", "S")),
)


def salt(a: str, b: str, lattice: float = 5.2) -> Atoms:
    """Eight atoms in the structure of rock salt, displaced and sheared."""
    atoms = bulk("NaCl", "rocksalt", a=lattice, cubic=True)
    atoms.symbols = [a if symbol == "Na" else b for symbol in atoms.symbols]
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.03 * np.eye(3, k=1)), scale_atoms=True)
    atoms.rattle(0.1, seed=3)
    return atoms


@pytest.fixture(params=CHECKPOINTS, ids=lambda row: f"{row[0]}-{row[1]}")
def checkpoint(
    request: pytest.FixtureRequest, shared: Path, tmp_path: Path
) -> tuple[Potential, Path, tuple[str, str]]:
    """A published model in a form that the core takes, its native file, and two of its elements."""
    name, convention, form, elements = request.param
    potential = load_potential(str(shared / "models" / name), convention=convention).with_form(form)
    path = write_native_artefact(tmp_path / "model.m3c.safetensors", potential)
    return potential, path, elements


def test_float64_equals_pytorch(checkpoint: tuple[Potential, Path, tuple[str, str]]) -> None:
    potential, path, elements = checkpoint
    atoms = salt(*elements)
    reference = evaluate(reference_of(potential), atoms)
    assert np.abs(reference.forces).max() > 0.1
    with Core(path, precision="float64", threads=1) as core:
        found = core.evaluate(core_system(potential, atoms))
    energies = found.energies + potential.element_energies[potential.species(atoms)]
    assert np.abs(energies - reference.energies).max() < 1e-9
    assert np.abs(found.forces - reference.forces).max() < 1e-8
    assert np.abs(found.virial - reference.virial).max() < 1e-7


def test_float32_is_as_good_where_tables_stand_in(
    checkpoint: tuple[Potential, Path, tuple[str, str]],
) -> None:
    """Pairs of elements with a thousand edges have tables, and trained networks are steep."""
    potential, path, elements = checkpoint
    cell = salt(*elements, lattice=4.6)
    with Core(path, precision="float64", threads=1) as core:
        right = core.evaluate(core_system(potential, cell)).forces
    size = np.abs(right).max()
    with Core(path, threads=1) as core:
        for times in (1, 4):
            found = core.evaluate(core_system(potential, cell.repeat(times), "float32"))
            off = np.abs(found.forces - np.tile(right, (times**3, 1))).max()
            assert off < 1e-5 * size
