"""An evaluation in steps: a periodic cell cut into two domains that exchange ghosts by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from native_library import core_system
from random_networks import write_native_artefact

from m3compress.contract.arrays import IntArray
from m3compress.contract.forms import FACTORIZED
from m3compress.engines.native.core import Core, Steps
from m3compress.engines.native.system import CoreResult, CoreSystem
from m3compress.errors import M3CompressError
from m3compress.models.potential import Potential
from m3compress.models.structures.crystals import build_crystal

NativeModel = Callable[[str], tuple[Path, Potential]]


@dataclass(frozen=True)
class Domain:
    """Rows of a part of a cell: its own atoms, then ghosts."""

    rows: IntArray  # atom of the whole cell that each row is
    n_owned: int
    system: CoreSystem

    @property
    def ghosts(self) -> IntArray:
        return self.rows[self.n_owned :]


def cut(whole: CoreSystem, owned: IntArray) -> Domain:
    """The part of a system whose atoms are ``owned``; every other end of an edge is a ghost."""
    edges = np.concatenate([np.arange(whole.begins[i], whole.begins[i + 1]) for i in owned])
    ends = whole.neighbors[edges]
    ghosts = np.setdiff1d(ends, owned)
    rows = np.concatenate([owned, ghosts])
    place = np.full(len(whole.species), -1)
    place[rows] = np.arange(len(rows))
    counts = np.diff(whole.begins)[owned]
    system = CoreSystem(
        species=whole.species[rows],
        begins=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        neighbors=place[ends].astype(np.int32),
        vectors=np.ascontiguousarray(whole.vectors[edges]),
    )
    return Domain(rows, len(owned), system)


def in_domains(cores: list[Core], domains: list[Domain], n_atoms: int) -> CoreResult:
    """Evaluate all domains side by side, exchanging what the ghosts need."""
    steps = [core.begin(domain.system) for core, domain in zip(cores, domains, strict=True)]
    n_blocks = cores[0].n_blocks
    both = list(zip(steps, domains, strict=True))
    for block in range(n_blocks - 1):
        for step, _ in both:
            step.forward(block)
        tell_ghosts(both, block + 1, n_atoms)
    for step, _ in both:
        step.readout()
    for block in reversed(range(n_blocks)):
        for step, _ in both:
            step.backward(block)
        if block > 0:
            tell_owners(both, block, n_atoms)
    energies, forces = np.zeros(n_atoms), np.zeros((n_atoms, 3))
    virial = np.zeros((3, 3))
    for step, domain in both:
        result = step.forces()
        energies[domain.rows[: domain.n_owned]] = result.energies
        np.add.at(forces, domain.rows, result.forces)
        virial += result.virial
    return CoreResult(energies, forces, virial, np.zeros((0, 3, 3)))


def tell_ghosts(both: list[tuple[Steps, Domain]], block: int, n_atoms: int) -> None:
    width = both[0][0].features(block).shape[1]
    of_all = np.zeros((n_atoms, width))
    for step, domain in both:
        of_all[domain.rows[: domain.n_owned]] = step.features(block)[: domain.n_owned]
    for step, domain in both:
        step.features(block)[domain.n_owned :] = of_all[domain.ghosts]


def tell_owners(both: list[tuple[Steps, Domain]], block: int, n_atoms: int) -> None:
    width = both[0][0].adjoints(block).shape[1]
    of_all = np.zeros((n_atoms, width))
    for step, domain in both:
        np.add.at(of_all, domain.rows, step.adjoints(block))
    for step, domain in both:
        step.adjoints(block)[: domain.n_owned] = of_all[domain.rows[: domain.n_owned]]


def differences(path: Path, potential: Potential, atoms: Atoms, **options: Any) -> list[float]:
    """Largest differences of energies, forces and virial between two domains and the whole."""
    system = core_system(potential, atoms, options["precision"])
    middle = np.median(atoms.positions[:, 0]) - 0.5
    left = np.flatnonzero(atoms.positions[:, 0] < middle)
    right = np.setdiff1d(np.arange(len(atoms)), left)
    domains = [cut(system, left), cut(system, right)]
    assert all(len(domain.ghosts) for domain in domains)
    cores = [Core(path, threads=threads, **options) for threads in (1, 2)]
    parts = in_domains(cores, domains, len(atoms))
    whole = Core(path, threads=2, **options).evaluate(system)
    fields = ("energies", "forces", "virial")
    return [float(np.abs(getattr(parts, f) - getattr(whole, f)).max()) for f in fields]


@pytest.mark.parametrize("memory", ["keep", "recompute"])
@pytest.mark.parametrize("name", ["matgl-4.1", "mattersim", "matgl-dgl removed", "tf"])
def test_two_domains_are_the_whole(
    native_model: NativeModel, structures: dict[str, Atoms], name: str, memory: str
) -> None:
    path, potential = native_model(name)
    atoms = structures["salt"]
    found = differences(path, potential, atoms, precision="float64", memory=memory)
    assert found[0] < 1e-12
    assert found[1] < 1e-11  # of forces of random networks, some 10 eV/Å
    assert found[2] < 1e-9


@pytest.mark.parametrize(("precision", "limit"), [("float32", 1e-6), ("float64", 1e-12)])
def test_two_domains_of_a_trained_model(
    builtin_potential: Potential, tmp_path: Path, precision: str, limit: float
) -> None:
    potential = builtin_potential.with_form(FACTORIZED)
    path = write_native_artefact(tmp_path / "silica.m3c.safetensors", potential)
    atoms = build_crystal("SiO2-quartz").repeat((2, 2, 1))
    atoms.rattle(0.05, seed=1)
    for memory in ("keep", "recompute"):
        found = differences(path, potential, atoms, precision=precision, memory=memory)
        assert max(found[:2]) < limit
        assert found[2] < 100 * limit


def test_without_an_exchange_the_forces_are_wrong(
    native_model: NativeModel, structures: dict[str, Atoms], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, potential = native_model("tf")
    atoms = structures["salt"]
    system = core_system(potential, atoms)
    domains = [cut(system, np.arange(0, 32)), cut(system, np.arange(32, 64))]
    whole = Core(path, precision="float64", threads=1).evaluate(system)
    for forgotten in ("tell_ghosts", "tell_owners"):
        with monkeypatch.context() as patch:
            patch.setitem(globals(), forgotten, lambda *_: None)
            cores = [Core(path, precision="float64", threads=1) for _ in domains]
            parts = in_domains(cores, domains, len(atoms))
        assert np.abs(parts.forces - whole.forces).max() > 1e-3


def test_steps_in_another_order_are_refused(
    native_model: NativeModel, structures: dict[str, Atoms]
) -> None:
    path, potential = native_model("matgl-4.1")
    system = core_system(potential, structures["triclinic"], "float32")
    core = Core(path, threads=1)
    with pytest.raises(M3CompressError, match="another order"):
        core.begin(system).readout()
    with pytest.raises(M3CompressError, match="another order"):
        core.begin(system).backward(2)
    steps = core.begin(system)
    with pytest.raises(M3CompressError, match="another order"):
        steps.forward(7)
    with pytest.raises(M3CompressError, match="block 0"):
        steps.features(0)
    steps.forward(0)
    with pytest.raises(M3CompressError, match="another order"):
        steps.forward(0)
    with pytest.raises(M3CompressError, match="another order"):
        steps.forces()
    assert np.isfinite(core.evaluate(system).forces).all()  # and it still works
