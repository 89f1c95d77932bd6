"""The one way in: every format by path, models by name, everything else refused."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from m3compress.errors import (
    CheckpointError,
    ConventionError,
    M3CompressError,
    MissingDependencyError,
)
from m3compress.models.config import CONVENTIONS
from m3compress.models.potential import Potential
from m3compress.models.readers.native import write_native
from m3compress.models.readers.open import read_model


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Stands in for the detection of conventions; records what was requested."""
    requests: list[str | None] = []

    def decide_convention(
        potential: Potential, requested: str | None, labels: Path | None
    ) -> Potential:
        assert labels is None
        requests.append(requested)
        return potential.with_convention(CONVENTIONS["matgl-dgl"], {"requested": requested})

    monkeypatch.setattr("m3compress.models.readers.open.decide_convention", decide_convention)
    return requests


def test_matgl_models_go_through_the_detection(
    matgl_folder: Path, decisions: list[str | None]
) -> None:
    for source in (matgl_folder, str(matgl_folder), matgl_folder / "model.json"):
        assert read_model(source).config.convention.name == "matgl-dgl"
    read_model(matgl_folder, convention="matgl-3")
    assert decisions == [None, None, None, "matgl-3"]


@pytest.mark.parametrize(
    ("known", "contradiction"), [("tf", "matgl-4.1"), ("mattersim", "tf"), ("native", "tf")]
)
def test_formats_with_a_known_convention_keep_it(
    known: str,
    contradiction: str,
    request: pytest.FixtureRequest,
    unusual_potential: Potential,
    tmp_path: Path,
) -> None:
    if known == "tf":
        source = request.getfixturevalue("tensorflow_folder")
    elif known == "mattersim":
        source = request.getfixturevalue("mattersim_file")
    else:
        source, known = tmp_path / "model.m3c.safetensors", "mattersim"
        write_native(unusual_potential, source)
    assert read_model(source).config.convention.name == known
    assert read_model(source, convention=known).config.convention.name == known
    with pytest.raises(ConventionError, match=f"'{contradiction}' contradicts"):
        read_model(source, convention=contradiction)
    with pytest.raises(ConventionError, match="unknown convention"):
        read_model(source, convention="mace")


@pytest.mark.parametrize("value", [None, "x", 3, [1.0, 2.0]])
def test_garbled_files_end_in_an_error_about_the_file(
    value: Any, matgl_folder: Path, decisions: list[str | None]
) -> None:
    arguments = torch.load(matgl_folder / "model.pt", weights_only=True)
    arguments["model"]["init_args"] = value
    torch.save(arguments, matgl_folder / "model.pt")
    with pytest.raises(M3CompressError, match=r"garbled|lacks"):
        read_model(matgl_folder)


@pytest.mark.parametrize("name", ["m3gnet.json", "m3gnet.index"])
def test_tensorflow_models_are_known_by_each_of_their_files(
    name: str, tensorflow_folder: Path
) -> None:
    assert read_model(tensorflow_folder / name).provenance.format == "tensorflow"


@pytest.mark.parametrize("name", ["m.onnx", "m.m3c.onnx", "m.m3c.json", "m.plan"])
def test_exported_files_are_no_checkpoints(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(CheckpointError, match="exported") as caught:
        read_model(tmp_path / name)
    assert "inspect" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["notes.txt", "model.h5", "weights.npz", "folder"])
def test_unknown_formats_are_refused_with_the_known_ones(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.mkdir() if name == "folder" else path.write_bytes(b"something")
    with pytest.raises(CheckpointError, match="unknown format") as caught:
        read_model(path)
    for known in ("matgl", "TensorFlow", "MatterSim", "safetensors", "Hugging Face"):
        assert known in str(caught.value.hint)


@pytest.mark.parametrize(
    "source", ["missing", "missing.pth", "a/b/c", "tests/missing", "M3GNet-x.pt", "../up/there"]
)
def test_missing_paths_are_refused_without_asking_the_hub(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "tests").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CheckpointError, match="does not exist"):
        read_model(source)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.SimpleNamespace]:
    """A hub that answers with ``hub.answer`` (a folder or an error) and records names."""
    errors = types.ModuleType("huggingface_hub.errors")
    errors.RepositoryNotFoundError = type("RepositoryNotFoundError", (Exception,), {})
    fake = types.SimpleNamespace(answer=None, asked=[], not_found=errors.RepositoryNotFoundError)

    def snapshot_download(name: str, *, allow_patterns: list[str]) -> str:
        fake.asked.append((name, sorted(allow_patterns)))
        if isinstance(fake.answer, Exception):
            raise fake.answer
        return str(fake.answer)

    module = types.ModuleType("huggingface_hub")
    module.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
    return fake


@pytest.mark.parametrize(
    ("source", "repository"),
    [
        ("M3GNet-PES-MatPES-PBE-2025.2", "materialyze/M3GNet-PES-MatPES-PBE-2025.2"),
        ("somebody/My-M3GNet_1.0", "somebody/My-M3GNet_1.0"),
    ],
)
def test_names_are_looked_up_on_the_hub(
    source: str, repository: str, hub: Any, matgl_folder: Path, decisions: list[str | None]
) -> None:
    hub.answer = matgl_folder
    potential = read_model(source)
    assert hub.asked == [(repository, ["model.json", "model.pt", "state.pt"])]
    assert potential.provenance.path == f"hf://{repository}"
    assert decisions == [None]


def test_failures_of_the_hub_are_explained(hub: Any, tmp_path: Path) -> None:
    hub.answer = hub.not_found("404")
    with pytest.raises(CheckpointError, match="neither a path"):
        read_model("somebody/nothing")
    hub.answer = OSError("Name or service not known\nlong story")
    with pytest.raises(CheckpointError, match="Name or service not known") as caught:
        read_model("somebody/something")
    assert "network" in str(caught.value.hint)
    assert "long story" not in str(caught.value)
    hub.answer = tmp_path
    with pytest.raises(CheckpointError, match="holds none of"):
        read_model("somebody/dataset")


def test_a_name_without_the_hub_package_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingDependencyError, match="huggingface_hub") as caught:
        read_model("M3GNet-PES-MatPES-PBE-2025.2")
    assert isinstance(caught.value, M3CompressError)
    assert "pip install" in str(caught.value.hint)
