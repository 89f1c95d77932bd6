"""The graph builder: sharing, merging, dropping."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from m3compress.contract.operators import OPERATORS
from m3compress.errors import ExportError
from m3compress.export.onnx import builder as module
from m3compress.export.onnx.builder import OnnxBuilder


@pytest.fixture
def builder() -> OnnxBuilder:
    return OnnxBuilder()


def finish(builder: OnnxBuilder, result: str) -> onnx.ModelProto:
    return builder.finish([("x", np.float32, ("n",))], [("y", result, np.float32, ("n",))])


def test_equal_constants_are_stored_once(builder):
    first = builder.constant([1.0, 2.0], np.float32)
    assert builder.constant(np.array([1.0, 2.0], np.float32)) == first


@pytest.mark.parametrize(
    "other", [np.float64([1, 2]), np.float32([[1, 2]]), np.float32([1, 3]), np.float32(1)]
)
def test_other_types_shapes_and_values_are_other_constants(builder, other):
    assert builder.constant([1, 2], np.float32) != builder.constant(other)


def test_zeros_of_either_sign_are_told_apart(builder):
    assert builder.constant(0.0) != builder.constant(-0.0)


def test_equal_nodes_are_merged(builder):
    assert builder.node("Sin", ["x"]) == builder.node("Sin", ["x"])
    assert builder.node("Sin", ["x"]) != builder.node("Cos", ["x"])
    assert builder.node("Sub", ["x", "y"]) != builder.node("Sub", ["y", "x"])
    by_axis = [builder.node("Concat", ["x", "x"], axis=axis) for axis in (0, 1, 0)]
    assert by_axis[0] == by_axis[2] != by_axis[1]


def test_forgotten_nodes_are_computed_again(builder):
    before = builder.node("Sin", ["x"])
    builder.forget()
    assert builder.existing("Sin", ["x"]) is None
    after = builder.node("Sin", ["x"])
    assert after != before
    assert builder.node("Sin", ["x"]) == after


def test_an_existing_node_is_found_and_none_is_made(builder):
    assert builder.existing("Sin", ["x"]) is None
    made = builder.node("Sin", ["x"])
    assert builder.existing("Sin", ["x"]) == made
    assert [node.op_type for node in finish(builder, made).graph.node] == ["Sin", "Identity"]


def test_what_no_output_needs_is_dropped(builder):
    needed = builder.node("Mul", ["x", builder.constant(2.0, np.float32)])
    builder.node("Add", [needed, builder.constant(3.0, np.float32)])
    graph = finish(builder, needed).graph
    assert [node.op_type for node in graph.node] == ["Mul", "Identity"]
    assert [onnx.numpy_helper.to_array(c).item() for c in graph.initializer] == [2.0]


def test_one_part_keeps_the_whole_split(builder):
    parts = builder.split("x", [1, 2], axis=0)
    graph = finish(builder, parts[1]).graph
    assert list(graph.node[0].output) == parts


def test_what_no_exported_graph_may_hold_is_not_written(builder):
    with pytest.raises(ExportError, match="RandomUniform is none of the operators"):
        builder.node("RandomUniform", [])


def test_the_list_of_operators_is_what_the_lowering_writes():
    folder = Path(module.__file__).parent
    files = [*folder.glob("operators/*.py"), folder / "builder.py", folder / "context.py"]
    sources = "".join(file.read_text() for file in files)
    written = {name for name in re.findall(r'"([A-Z]\w+)"', sources) if onnx.defs.has(name)}
    assert written == OPERATORS
