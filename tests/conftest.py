"""Shared fixtures: the real checkpoints and data, the built-in model, its exported file."""

from __future__ import annotations

import hashlib
import importlib
import os
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest
import torch
from filelock import FileLock

from m3compress.api import load_potential
from m3compress.contract.forms import FACTORIZED
from m3compress.export.onnx.build import build_onnx, describe, serialize
from m3compress.models.potential import Potential
from m3compress.models.structures.zoo import build_zoo

ROOT = Path(__file__).resolve().parent.parent

#: Modules that take the longest, which come first: begun last, one would run beside idle workers.
LONG = (
    "cli/test_export.py",
    "distill/training/test_compiled.py",
    "cli/test_distill.py",
    "export/test_parity_on_zoo.py",
    "validate/checks/test_student_gate.py",
    "test_paper_study.py",
    "distill/test_documentation.py",
    "analysis/statistics/test_inversion.py",
    "validate/test_rerun.py",
    "models/test_builtin.py",
    "test_packaging.py",
    "validate/checks/test_properties.py",
    "models/test_detection.py",
    "validate/test_pytest_plugin.py",
    "engines/codes/test_ase.py",
    "validate/checks/test_scans.py",
    "validate/checks/test_sizes.py",
    "models/test_matgl_parity.py",
    "engines/dynamics/test_integrate.py",
    "distill/training/test_student.py",
    "validate/checks/test_survey.py",
    "models/test_golden.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long modules first; the order within a module stays."""
    rank = {ROOT / "tests" / name: row for row, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


#: ``traced(potential, precision="float32")``: its graph.
Traced = Callable[..., onnx.ModelProto]
#: ``write(path, potential, precision="float32")``: a potential as a file.
ArtefactWriter = Callable[..., Path]
#: ``made_once(name, make)``: the folder that ``make(folder)`` filled.
MadeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Fill a folder once for all modules and workers, the first that asks; not to be changed."""
    base = tmp_path_factory.getbasetemp()
    common = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name: str, make: Callable[[Path], object]) -> Path:
        folder = common / name
        with FileLock(common / f"{name}.lock"):
            if not folder.is_dir():
                begun = tmp_path_factory.mktemp(name)
                make(begun)
                begun.rename(folder)
        return folder

    return once


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with real checkpoints, reference numbers and data; skips where there is none."""
    folder = Path(os.environ.get("M3COMPRESS_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{folder} does not exist, and CI must not skip (set M3COMPRESS_SHARED)")
        pytest.skip(f"{folder} does not exist (set M3COMPRESS_SHARED)")
    return folder.resolve()


@pytest.fixture(scope="session")
def builtin_potential() -> Potential:
    """The built-in silica model, as what PyTorch evaluates; not to be changed."""
    return load_potential("builtin", convention="matgl-4.1")


@pytest.fixture(scope="session")
def traced(made_once: MadeOnce) -> Traced:
    """The graph of a potential, traced once for all modules and workers (some 5 s)."""

    def get(potential: Potential, precision: str = "float32") -> onnx.ModelProto:
        digest = hashlib.sha256(repr((potential.config, potential.form, precision)).encode())
        for name, value in sorted(potential.network.state_dict().items()):
            digest.update(name.encode() + value.numpy().tobytes())

        def make(folder: Path) -> None:
            onnx.save(build_onnx(potential, precision=precision), folder / "graph.onnx")

        return onnx.load(made_once(f"graph-{digest.hexdigest()[:16]}", make) / "graph.onnx")

    return get


@pytest.fixture(scope="session")
def write_artefact(traced: Traced) -> ArtefactWriter:
    """Export without a parity check, with the manifest beside the file."""

    def write(path: Path, potential: Potential, precision: str = "float32") -> Path:
        manifest = describe(potential, reason="a test", precision=precision)
        content = serialize(traced(potential, precision), manifest)
        digest = hashlib.sha256(content).hexdigest()
        beside = manifest.model_copy(update={"artefact_sha256": digest})
        path.write_bytes(content)
        path.with_suffix(".json").write_text(beside.model_dump_json(indent=1), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def silica_artefact(
    made_once: MadeOnce, write_artefact: ArtefactWriter, builtin_potential: Potential
) -> Path:
    """The ``.m3c.onnx`` of the built-in model, factorised; not to be changed."""
    name, potential = "silica.m3c.onnx", builtin_potential.with_form(FACTORIZED)
    return made_once("silica", lambda folder: write_artefact(folder / name, potential)) / name


@pytest.fixture
def small_zoo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parity on a few small structures, where something else is tested."""
    monkeypatch.setattr(
        "m3compress.export.write.build_zoo",
        lambda *given, **options: build_zoo(*given, **{**options, "large": False})[:3],
    )


@pytest.fixture
def timed_on_few_atoms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Students and teachers are timed on a small cell, where something else is tested."""
    monkeypatch.setattr("m3compress.distill.speed.N_ATOMS", 50)


@pytest.fixture(scope="session")
def matgl() -> Iterator[types.ModuleType]:
    """The installed matgl; radial functions are evaluated as they are written down.

    SymPy would simplify them first: the same numbers to rounding, and of the built-in model half a
    minute.
    """
    found = pytest.importorskip("matgl")
    maths = importlib.import_module("matgl.utils.maths")
    with pytest.MonkeyPatch.context() as patch:
        as_written = {**vars(maths.sympy), "simplify": lambda expression: expression}
        patch.setattr(maths, "sympy", types.SimpleNamespace(**as_written))
        yield found


@pytest.fixture(scope="session")
def matgl_model(made_once: MadeOnce, matgl: types.ModuleType) -> Path:
    """Folder of a small silica network that matgl made and saved; not to be changed."""
    from matgl.apps.pes import Potential as MatglPotential
    from matgl.models import M3GNet as MatglM3GNet

    def make(folder: Path) -> None:
        sizes = {"units": 8, "dim_node_embedding": 8, "dim_edge_embedding": 8, "nblocks": 1}
        bases = {"max_n": 2, "max_l": 2, "use_smooth": True}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = MatglM3GNet(element_types=("O", "Si"), is_intensive=False, **sizes, **bases)
        references = [-1.5, -2.5]
        MatglPotential(network, data_mean=0.3, data_std=1.7, element_refs=references).save(folder)

    return made_once("matgl", make)
