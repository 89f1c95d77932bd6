"""Shared fixtures: the real checkpoints and data, the built-in model, its exported file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from m3compress.api import load_potential
from m3compress.contract.forms import FACTORIZED, ThreeBodyForm
from m3compress.export.onnx.build import build_onnx, describe, serialize
from m3compress.models.potential import Potential

ROOT = Path(__file__).resolve().parent.parent

#: ``write(folder, form)``: the built-in model in a three-body form, as a file.
ArtefactWriter = Callable[[Path, ThreeBodyForm], Path]


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
    return load_potential("builtin")


@pytest.fixture(scope="session")
def write_artefact(builtin_potential: Potential) -> ArtefactWriter:
    """Export the built-in model, with the manifest beside the file (some 10 s each)."""

    def write(folder: Path, form: ThreeBodyForm) -> Path:
        potential = builtin_potential.with_form(form)
        manifest = describe(potential, reason="a test")
        content = serialize(build_onnx(potential), manifest)
        digest = hashlib.sha256(content).hexdigest()
        beside = manifest.model_copy(update={"artefact_sha256": digest})
        path = folder / "silica.m3c.onnx"
        path.write_bytes(content)
        path.with_suffix(".json").write_text(beside.model_dump_json(indent=1), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def silica_artefact(
    tmp_path_factory: pytest.TempPathFactory, write_artefact: ArtefactWriter
) -> Path:
    """The ``.m3c.onnx`` of the built-in model, factorised; not to be changed."""
    return write_artefact(tmp_path_factory.mktemp("silica"), FACTORIZED)
