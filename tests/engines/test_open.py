"""Opening files by the table of backends, and how an engine is added to it.

The worked example of extending.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from m3compress import Calculator
from m3compress.__main__ import main
from m3compress.contract import backends
from m3compress.contract.backends import Backend, Device, manifest_path
from m3compress.contract.manifest import Manifest
from m3compress.contract.tables import RawOutputs, TableInputs
from m3compress.engines.artefact import Artefact, load_artefact
from m3compress.engines.open import load_engine
from m3compress.errors import ArtefactError, M3CompressError, UnknownNameError

# 1. A module that runs the files: engines/runtimes/springs.py


class SpringEngine:
    """Bonds of stiffness k (eV/Å²) and length r₀ (Å) between all neighbours: E = Σ k (r − r₀)²/4.

    Every edge i→j gives half of its bond's energy k (r − r₀)²/2 to atom i.
    """

    def __init__(self, artefact: Artefact, *, device: Device, threads: int | None) -> None:
        self.manifest: Manifest = artefact.manifest
        self.description = f"springs 1.0, {device}"
        self.threads = threads
        document = json.loads(artefact.path.read_text(encoding="utf-8"))
        self.stiffness, self.length = document["stiffness"], document["length"]

    def run(self, inputs: TableInputs) -> RawOutputs:
        """Evaluate the bonds in the padded table."""
        used = inputs.mask > 0
        vectors = np.where(used[..., None], inputs.edge_vectors, 1.0)
        distances = np.linalg.norm(vectors, axis=-1)
        stretch = np.where(used, distances - self.length, 0.0)
        # dE/dr_ij of one edge; the edge j→i pulls at atom i as well, with the same force.
        pulls = (self.stiffness / 2 * stretch / distances)[..., None] * vectors
        return RawOutputs(
            energies=(self.stiffness / 4 * stretch**2).sum(axis=1).astype(np.float32),
            forces=(2 * pulls).sum(axis=1).astype(np.float32),
            virial=np.einsum("nkx,nky->xy", vectors, pulls).astype(np.float32),
        )


# 2. A row of the table: m3compress/contract/backends.py

SPRINGS = Backend(
    name="springs",
    title="springs",
    file="table of springs",
    suffix=".m3c.springs",
    devices=("cpu",),
    engine=f"{__name__}:SpringEngine",
)

# 3. Its test: tests/engines/runtimes/test_springs.py


@pytest.fixture
def add_backend(monkeypatch: pytest.MonkeyPatch) -> Callable[[Backend], None]:
    """Add a row to the table for one test."""

    def add(backend: Backend) -> None:
        monkeypatch.setattr(backends, "BACKENDS", (*backends.BACKENDS, backend))

    return add


@pytest.fixture
def springs(artefact: Path, tmp_path: Path) -> Path:
    """A file of the new kind, and its manifest beside it."""
    path = tmp_path / "model.m3c.springs"
    path.write_text(json.dumps({"stiffness": 3.0, "length": 2.5}), encoding="utf-8")
    document = json.loads(manifest_path(artefact).read_text(encoding="utf-8"))
    document.update(backend="springs", artefact_sha256=_sha256(path))
    manifest_path(path).write_text(json.dumps(document), encoding="utf-8")
    return path


def run(*arguments: str) -> int:
    """Exit code of the command line in this process."""
    try:
        return main(list(arguments))
    except SystemExit as stop:
        return int(stop.code or 0)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_of_an_added_engine_runs(add_backend: Callable[..., None], springs: Path) -> None:
    add_backend(SPRINGS)
    calculator = Calculator(springs, threads=1)
    assert calculator.engine.description == "springs 1.0, cpu"
    pair = Atoms("SiO", positions=[[0, 0, 0], [0, 0, 3.0]])
    pair.calc = calculator
    references = dict(
        zip(calculator.manifest.elements, calculator.manifest.element_energies, strict=True)
    )
    bond = pair.get_potential_energy() - references["Si"] - references["O"]
    assert bond - calculator.manifest.energy_offset == pytest.approx(3.0 / 2 * 0.5**2, rel=1e-4)
    np.testing.assert_allclose(pair.get_forces()[:, 2], [1.5, -1.5], rtol=1e-6)


def test_its_forces_and_stress_are_derivatives_of_its_energy(
    add_backend: Callable[..., None], springs: Path
) -> None:
    add_backend(SPRINGS)
    engine = load_engine(springs)
    silicon = bulk("Si", "diamond", a=5.5, cubic=True)
    silicon.rattle(0.1, seed=4)
    silicon.calc = Calculator(springs)
    forces, stress = silicon.get_forces(), silicon.get_stress()
    assert engine.manifest.backend == "springs"
    assert np.abs(forces.sum(axis=0)).max() < 1e-4
    energies = []
    for step in (-0.01, 0.01):
        moved = silicon.copy()
        moved.positions[3, 1] += step
        moved.calc = Calculator(springs)
        energies.append(moved.get_potential_energy())
    assert -(energies[1] - energies[0]) / 0.02 == pytest.approx(forces[3, 1], rel=1e-2)
    energies = []
    for strain in (-1e-3, 1e-3):
        strained = silicon.copy()
        strained.set_cell(strained.cell.array * [1 + strain, 1, 1], scale_atoms=True)
        strained.calc = Calculator(springs)
        energies.append(strained.get_potential_energy())
    slope = (energies[1] - energies[0]) / 2e-3 / silicon.get_volume()
    assert slope == pytest.approx(stress[0], rel=2e-2)


def test_an_added_engine_is_opened_by_its_manifest_and_named(
    add_backend: Callable[..., None],
    springs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add_backend(SPRINGS)
    assert load_artefact(manifest_path(springs)).path == springs
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ArtefactError, match=r"\*\.m3c\.springs"):
        load_artefact(tmp_path / "notes.txt")
    assert run("inspect", str(springs)) == 0
    assert "springs" in capsys.readouterr().out


def test_a_device_on_which_an_engine_never_runs(
    add_backend: Callable[..., None], springs: Path
) -> None:
    add_backend(SPRINGS)
    with pytest.raises(ArtefactError, match="table of springs and runs on CPUs only") as caught:
        Calculator(springs, device="cuda")
    assert "--device cpu" in str(caught.value.hint)


def test_an_unknown_engine_names_those_that_exist(
    springs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ArtefactError, match=r"backend: .*onnx, tensorrt, tensorrt-rtx"):
        load_artefact(manifest_path(springs))
    assert run("inspect", str(manifest_path(springs))) == 2
    assert "onnx, tensorrt, tensorrt-rtx" in capsys.readouterr().err


def test_an_unknown_device_names_those_that_exist(artefact: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"'tpu'.*cpu, cuda") as caught:
        load_engine(artefact, device="tpu")  # type: ignore[arg-type]
    assert isinstance(caught.value, M3CompressError)
    assert caught.value.exit_code == 2


def test_rows_can_be_told_apart_and_opened() -> None:
    names = [backend.name for backend in backends.BACKENDS]
    assert len(set(names)) == len(names)
    for backend in backends.BACKENDS:
        assert set(backend.devices) <= set(backends.DEVICES)
        assert callable(backend.load_engine_opener())
        assert backend.suffix.endswith(backend.extension)
