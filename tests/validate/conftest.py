"""The built-in model as reference, its exported file as candidate, and gates made of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import onnx
import pytest

from m3compress.api import resolve_source
from m3compress.contract.manifest import manifest_path
from m3compress.engines.artefact import read_manifest
from m3compress.export.onnx.build import serialize
from m3compress.models.potential import Potential
from m3compress.models.structures.frames import Named
from m3compress.models.structures.zoo import build_zoo
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.profiles import SMOKE
from m3compress.validate.setup.subject import (
    ExportedSpec,
    SubjectSpec,
    TrainedSpec,
    exported,
    trained,
)

#: ``make_gate(candidate, reference, zoo=..., ...)``.
ContextMaker = Callable[..., Context]
#: ``write_wrong(edit, source, **fields)``: a file that a wrong exporter would write.
WrongWriter = Callable[..., Path]


@pytest.fixture(scope="session")
def builtin_spec() -> TrainedSpec:
    """The built-in silica model as the reference, on one thread."""
    return trained(str(resolve_source("builtin"))).with_threads(1)


@pytest.fixture(scope="session")
def artefact_spec(silica_artefact: Path) -> ExportedSpec:
    """The candidate: the factorised file on one thread."""
    return exported(silica_artefact, threads=1)


@pytest.fixture(scope="session")
def silica_zoo(builtin_potential: Potential) -> tuple[Named, ...]:
    """The zoo of the built-in model, up to the size of the smoke profile."""
    config = builtin_potential.config
    entries = build_zoo(
        config.elements,
        cutoff=config.cutoff,
        three_body_cutoff=config.three_body_cutoff,
        large=False,
    )
    return tuple(entry for entry in entries if len(entry.atoms) <= SMOKE.max_zoo_atoms)


@pytest.fixture
def write_wrong(silica_artefact: Path, tmp_path: Path) -> WrongWriter:
    """Write what a wrong exporter would: hash and both manifests are as good as the real ones.

    ``write_wrong(edit, source=file, cutoff=4.9)``: ``edit`` changes the ONNX model in place, and
    every other argument is a field of the manifest; ``source`` is the built-in model by default.
    """

    def write(
        edit: Callable[[onnx.ModelProto], object] | None = None,
        *,
        source: Path = silica_artefact,
        **fields: Any,
    ) -> Path:
        model = onnx.load(source)
        if edit is not None:
            edit(model)
        document = {**json.loads(manifest_path(source).read_bytes()), **fields}
        content = serialize(model, read_manifest(json.dumps(document), "the wrong manifest"))
        document["artefact_sha256"] = hashlib.sha256(content).hexdigest()
        path = tmp_path / f"wrong-{document['artefact_sha256'][:8]}.m3c.onnx"
        path.write_bytes(content)
        manifest_path(path).write_text(json.dumps(document), encoding="utf-8")
        return path

    return write


@pytest.fixture
def make_context(
    builtin_spec: TrainedSpec, silica_zoo: tuple[Named, ...], tmp_path: Path
) -> ContextMaker:
    """Make a gate: ``make_gate(candidate)``; every other field may be given by name."""

    def make(
        candidate: SubjectSpec,
        reference: TrainedSpec | None = None,
        *,
        zoo: Iterable[Named] | None = None,
        **fields: Any,
    ) -> Context:
        given: dict[str, Any] = {
            "twin": None,
            "profile": SMOKE,
            "zoo": silica_zoo if zoo is None else tuple(zoo),
            "crystals": (),
            "samples": (),
            "workplace": tmp_path,
            "trajectories": tmp_path / "trajectories",
            **fields,
        }
        return Context(candidate=candidate, reference=reference or builtin_spec, **given)

    return make
