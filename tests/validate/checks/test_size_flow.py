"""Sizes of tables that reach values are found in graphs, wherever they come from."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from m3compress.contract.forms import REMOVED, TRIPLETS
from m3compress.validate.checks.size_flow import CHECKS, values_from_sizes
from m3compress.validate.result import Verdict
from m3compress.validate.setup.subject import exported

BY_SIZE = {
    *("large-forces", "large-energies", "very-large-forces", "window", "larger-than-all"),
    *("width-8-20", "width-odd", "stress-of-wide"),
}


def graph(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    """A graph that makes the forces of the rows of a table of edges."""
    table = helper.make_tensor_value_info("edge_vectors", TensorProto.FLOAT, ["n", "K", 3])
    forces = helper.make_tensor_value_info("forces", TensorProto.FLOAT, None)
    numbers = {"zero": [0], "one": [1], "many": [1000]}
    constants = [numpy_helper.from_array(np.array(v), name) for name, v in numbers.items()]
    return helper.make_graph(nodes, "graph", [table], [forces], constants)


def node(kind: str, inputs: str, output: str, **attributes) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], **attributes)


SHAPE = node("Shape", "edge_vectors", "shape")
ATOMS = node("Gather", "shape zero", "atoms")
SLOTS = node("Gather", "shape one", "slots")
INSIDE = (node("Neg", "edge_vectors", "turned"), node("Shape", "turned", "shape"))
RIGHT = {
    "a shape": (SHAPE, node("Reshape", "edge_vectors shape", "forces")),
    "a shape of sizes": (
        *(SHAPE, ATOMS, SLOTS, node("Concat", "atoms slots", "sizes", axis=0)),
        node("Reshape", "edge_vectors sizes", "forces"),
    ),
}
WRONG = {
    "slots that are counted": (SHAPE, SLOTS, node("Mul", "edge_vectors slots", "forces")),
    "compared": (SHAPE, ATOMS, node("GreaterOrEqual", "atoms many", "forces")),
    "a factor": (
        *(SHAPE, ATOMS, node("Cast", "atoms", "factor", to=TensorProto.FLOAT)),
        node("Sin", "factor", "forces"),
    ),
    "a whole shape": (SHAPE, node("Add", "shape one", "forces")),
    "a place": (SHAPE, ATOMS, node("Range", "zero atoms one", "forces")),
    "values of a shape": (SHAPE, node("Reshape", "shape one", "forces")),
    "part of a shape": (
        node("Shape", "edge_vectors", "shape", end=1),
        node("Add", "shape many", "forces"),
    ),
    "an axis of another tensor": (*INSIDE, SLOTS, node("Mul", "edge_vectors slots", "forces")),
}


@pytest.mark.parametrize("nodes", RIGHT.values(), ids=RIGHT)
def test_sizes_may_be_shapes(nodes):
    assert values_from_sizes(graph(*nodes)) == []


@pytest.mark.parametrize("nodes", WRONG.values(), ids=WRONG)
def test_sizes_may_not_be_values(nodes):
    (problem,) = values_from_sizes(graph(*nodes))
    assert problem.startswith("forces follows from the sizes of the tables (")


def test_the_operator_that_computes_with_it_is_named():
    assert "(Sin)" in values_from_sizes(graph(*WRONG["a factor"]))[0]


@pytest.mark.parametrize("form", [REMOVED, TRIPLETS], ids=str)
def test_graphs_of_other_forms_are_right(
    form, builtin_potential, write_artefact, tmp_path, run_check, make_context
):
    path = write_artefact(tmp_path / "right.m3c.onnx", builtin_potential.with_form(form))
    context = make_context(exported(path))
    assert run_check(CHECKS, "artefact.sizes", context, None)[0] is Verdict.PASS


def test_files_that_are_wrong_in_cells_of_some_size_are_refused_whatever_was_measured(
    attacked, run_check
):
    for name, wrong in attacked(BY_SIZE).items():
        assert run_check(CHECKS, "artefact.sizes", wrong, None)[0] is Verdict.FAIL, name
