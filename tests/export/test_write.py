"""A file gets its name only after what was written ran and said what the model says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest
from ase import Atoms
from ase.build import bulk

from m3compress.contract.evaluation import Evaluation
from m3compress.contract.forms import REMOVED
from m3compress.contract.manifest import Manifest
from m3compress.engines.artefact import load_artefact
from m3compress.engines.evaluator import ArtefactEvaluator
from m3compress.errors import ExportError, MissingDependencyError, ParityError
from m3compress.export import write
from m3compress.export.onnx.write import write as write_graph
from m3compress.export.targets import Order, Target, Written
from m3compress.export.write import Opener, output_path, write_export
from m3compress.models.potential import Potential
from m3compress.models.structures.frames import Named


class Wrong(ArtefactEvaluator):
    def evaluate(self, atoms: Atoms) -> Evaluation:
        result = super().evaluate(atoms)
        return replace(result, forces=result.forces + 1e-2)


@pytest.fixture(autouse=True)
def one_structure(monkeypatch: pytest.MonkeyPatch) -> None:
    silicon = bulk("Si")
    silicon.rattle(0.05, seed=1)
    monkeypatch.setattr(write, "build_zoo", lambda *_, **__: [Named("silicon", silicon)])


def export(
    potential: Potential, path: Path, open_file: Opener, target: str = "onnx"
) -> tuple[Manifest, list[str]]:
    stages = []
    manifest = write_export(
        potential.with_form(REMOVED),
        path,
        reason="a test",
        target=target,
        precision="float32",
        max_atoms=100,
        open_file=open_file,
        report=lambda stage, _: stages.append(stage),
    )
    return manifest, stages


def test_what_was_written_is_run_and_then_named(one_block: Potential, tmp_path: Path) -> None:
    path = tmp_path / "out.m3c.onnx"
    opened = []

    def open_file(written: Path) -> ArtefactEvaluator:
        opened.append(written)
        assert not path.exists()
        return ArtefactEvaluator(written)

    manifest, stages = export(one_block, path, open_file)
    assert stages == ["trace", "parity"]
    assert [written.parent.parent for written in opened] == [tmp_path]
    assert load_artefact(path).manifest == manifest
    assert manifest.parity is not None
    assert manifest.parity.engine == f"ONNX Runtime {onnxruntime.__version__}, cpu"
    assert [row.structure for row in manifest.parity.rows] == ["silicon"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.m3c.json", "out.m3c.onnx"]


class Plans:
    """A writer of plans that builds them from a graph, as that of TensorRT does."""

    @staticmethod
    def write(potential: Potential, order: Order) -> Written:
        graph = write_graph(potential, order)
        made = {"backend": "tensorrt-rtx", "graph_parity": order.prove(graph)}
        return Written(b"a plan", graph.manifest.model_copy(update=made))


@pytest.mark.parametrize("gpu", [False, True])
def test_a_plan_earns_its_own_parity_or_none(
    gpu: bool, one_block: Potential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Target, "load_writer", lambda _: Plans())
    graphs = []

    def open_file(written: Path) -> ArtefactEvaluator:
        if written.suffix == ".onnx":
            graphs.append(ArtefactEvaluator(written))
        elif not gpu:
            raise MissingDependencyError("no NVIDIA GPU is visible")
        return graphs[0]

    path = tmp_path / "out.plan"
    manifest, stages = export(one_block, path, open_file, target="tensorrt")
    assert load_artefact(path).manifest == manifest
    assert stages == ["trace", "parity", "parity"]
    assert manifest.graph_parity is not None
    assert manifest.graph_parity.engine.startswith("ONNX Runtime")
    assert (manifest.parity is not None) == gpu
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.json", "out.plan"]


def test_disagreement_leaves_the_old_files(one_block: Potential, tmp_path: Path) -> None:
    path, beside = tmp_path / "out.m3c.onnx", tmp_path / "out.m3c.json"
    path.write_text("old")
    beside.write_text("older")
    with pytest.raises(ParityError):
        export(one_block, path, Wrong)
    assert (path.read_text(), beside.read_text()) == ("old", "older")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("model.zip", "model.zip.m3c.onnx"),
        ("some/folder/", "folder.m3c.onnx"),
        ("some/folder/model.pt", "folder.m3c.onnx"),
        ("model.pt", "model.pt.m3c.onnx"),
    ],
)
def test_an_export_is_named_after_its_model(source: str, expected: str) -> None:
    assert output_path(source, None, "onnx") == Path(expected)


def test_a_name_of_another_kind_or_in_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"does not end in \.m3c\.onnx"):
        output_path("model.pt", tmp_path / "model.onnx", "onnx")
    with pytest.raises(ExportError, match="nowhere does not exist"):
        output_path("model.pt", tmp_path / "nowhere" / "model.m3c.onnx", "onnx")
    good = tmp_path / "model.m3c.onnx"
    assert output_path("model.pt", good, "onnx") == good
