"""The built-in model as reference, its exported file as candidate, and gates made of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from m3compress.api import resolve_source
from m3compress.contract.backends import manifest_path
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
#: An edit of an exported graph, for ``write_wrong``.
Edit = Callable[[onnx.ModelProto], None]
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


@pytest.fixture(scope="session")
def scale_output() -> Callable[..., Edit]:
    """``scale_output("forces", 1.05, axis=0, above=300)``: an edit of a graph.

    The output is multiplied where the table of neighbours is larger than ``above`` along ``axis``:
    0 counts atoms, 1 the slots of each.
    """

    def make(output: str, factor: float, *, axis: int = 0, above: int = -1) -> Edit:
        def edit(model: onnx.ModelProto) -> None:
            rename_output(model.graph, output, f"right_{output}")
            model.graph.initializer.extend(
                [
                    numpy_helper.from_array(np.array(axis), "wrong_axis"),
                    numpy_helper.from_array(np.array(above), "wrong_above"),
                    numpy_helper.from_array(np.array([1.0, factor], np.float32), "wrong_factors"),
                ]
            )
            for kind, inputs, result, options in (
                ("Shape", ["neighbors"], "wrong_shape", {}),
                ("Gather", ["wrong_shape", "wrong_axis"], "wrong_size", {}),
                ("Greater", ["wrong_size", "wrong_above"], "wrong_if", {}),
                ("Cast", ["wrong_if"], "wrong_index", {"to": onnx.TensorProto.INT64}),
                ("Gather", ["wrong_factors", "wrong_index"], "wrong_factor", {}),
                ("Mul", [f"right_{output}", "wrong_factor"], output, {}),
            ):
                model.graph.node.append(onnx.helper.make_node(kind, inputs, [result], **options))

        return edit

    return make


def rename_output(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Give what the graph computes as an output another name, to put something behind it."""
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
