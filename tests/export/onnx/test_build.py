"""What the exported graph looks like, whatever its numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from m3compress.contract.forms import FACTORIZED, MISROUTED, REMOVED
from m3compress.contract.manifest import BESIDE_ONLY, METADATA_KEY, Manifest
from m3compress.errors import ExportError
from m3compress.export.onnx.build import (
    SHAPES,
    build_onnx,
    describe,
    refuse_reducing_scatters,
    serialize,
)
from m3compress.models.potential import Potential


@pytest.fixture(scope="module")
def model(builtin: Potential) -> onnx.ModelProto:
    return build_onnx(builtin.with_form(FACTORIZED))


def test_no_scatter_and_only_standard_operators(model: onnx.ModelProto) -> None:
    assert not [node for node in model.graph.node if "Scatter" in node.op_type]
    assert {node.domain for node in model.graph.node} == {""}
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 18)]


def test_geometry_is_described_and_differentiated_once(
    builtin: Potential, model: onnx.ModelProto
) -> None:
    """Not once for every block: r̂ is taken apart once, and so is the gradient of S_lm(r̂)."""
    assert builtin.config.n_blocks > 1
    columns = [
        node
        for node in model.graph.node
        if node.op_type == "Gather" and [a.i for a in node.attribute] == [2]
    ]
    assert len(columns) == builtin.config.max_l**2 - 1  # the first is a constant
    assert [node.op_type for node in model.graph.node].count("Split") == 1


def test_atoms_and_neighbours_are_dynamic(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        assert tuple(d.dim_param or d.dim_value for d in dims) == SHAPES[value.name]


def test_equal_models_give_equal_files(
    builtin: Potential, model: onnx.ModelProto, silica_artefact: Path
) -> None:
    potential = builtin.with_form(FACTORIZED)
    manifest = describe(potential, reason="test")
    # Read by detection and traced at another time, most often in another process.
    other = onnx.load(silica_artefact)
    del other.metadata_props[:]
    assert serialize(model, manifest) == serialize(other, manifest)


def test_manifest_is_inside_without_what_is_said_about_the_file(
    builtin: Potential, model: onnx.ModelProto
) -> None:
    manifest = describe(builtin.with_form(FACTORIZED), reason="test")
    loaded = onnx.load_from_string(serialize(model, manifest))
    inside = {entry.key: entry.value for entry in loaded.metadata_props}[METADATA_KEY]
    read = Manifest.model_validate_json(inside)
    assert read == manifest.model_copy(update=dict.fromkeys(BESIDE_ONLY[:2]))
    assert not any(f'"{name}"' in inside for name in BESIDE_ONLY)


def test_removed_graph_is_smaller(
    builtin: Potential, model: onnx.ModelProto, traced: Callable[..., onnx.ModelProto]
) -> None:
    removed = traced(builtin.with_form(REMOVED))
    assert len(removed.graph.node) < len(model.graph.node)


def test_misrouted_triplets_are_never_exported(builtin: Potential) -> None:
    with pytest.raises(ExportError, match="misrouted"):
        build_onnx(builtin.with_form(MISROUTED))


def test_a_scatter_is_refused() -> None:
    node = onnx.helper.make_node("ScatterND", ["a", "b", "c"], ["d"], reduction="add")
    graph = onnx.helper.make_graph([node], "g", [], [])
    with pytest.raises(ExportError, match="ScatterND"):
        refuse_reducing_scatters(onnx.helper.make_model(graph))
