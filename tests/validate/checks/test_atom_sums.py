"""Graphs in which atoms have something in common that is not their neighbours."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from m3compress.contract.forms import REMOVED, TRIPLETS
from m3compress.contract.manifest import INPUT_NAMES
from m3compress.validate.checks.atom_sums import CHECKS, values_from_sums
from m3compress.validate.result import Verdict
from m3compress.validate.setup.subject import exported


def node(kind: str, inputs: str, output: str, **attributes) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], **attributes)


def model(*nodes: onnx.NodeProto, output: str = "forces") -> onnx.ModelProto:
    """A graph that makes an output of the tables."""
    of_type = {"species": TensorProto.INT64, "neighbors": TensorProto.INT64}
    tables = [
        helper.make_tensor_value_info(name, of_type.get(name, TensorProto.FLOAT), None)
        for name in INPUT_NAMES
    ]
    numbers = {"zero": [0], "one": [1], "both": [0, 1], "row": [1, -1], "triples": [-1, 3]}
    stored = [numpy_helper.from_array(np.array(v), name) for name, v in numbers.items()]
    stored.append(numpy_helper.from_array(np.ones((3, 2), dtype=np.float32), "weights"))
    stored.append(numpy_helper.from_array(np.ones(3, dtype=np.float32), "scales"))
    made = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "graph", tables, [made], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


RIGHT = {
    "sums over neighbours": (node("ReduceSum", "edge_vectors one", "forces", keepdims=0),),
    "features": (node("MatMul", "edge_vectors weights", "forces"),),
    "neighbours": (node("Gather", "edge_vectors neighbors", "forces"),),
    "what all know": (
        node("ReduceSum", "scales zero", "sum"),
        node("Mul", "edge_vectors sum", "scaled"),
        node("ReduceSum", "scaled one", "forces"),
    ),
}
COUNT = node("ReduceSum", "mask both", "count", keepdims=0)
TURNED = node("Transpose", "mask", "turned", perm=[1, 0])
WRONG = {
    "counted": (COUNT, node("Mul", "edge_vectors count", "forces")),
    "counted on the way": (COUNT, node("Neg", "count", "less"), node("Add", "less mask", "forces")),
    "all axes": (node("ReduceSum", "mask", "count"), node("Mul", "mask count", "forces")),
    "flat": (
        *(node("Reshape", "mask row", "line"), node("ReduceSum", "line one", "count")),
        node("Mul", "mask count", "forces"),
    ),
    "as a product": (
        *(TURNED, node("MatMul", "turned mask", "square")),
        node("MatMul", "mask square", "forces"),
    ),
    "as a product for every atom": (
        *(TURNED, node("MatMul", "mask turned", "all")),
        node("MatMul", "all mask", "forces"),
    ),
    "as a product with its transpose": (
        node("Gemm", "mask mask", "square", transA=1),
        node("MatMul", "mask square", "forces"),
    ),
    "the first one's": (
        node("Gather", "edge_vectors zero", "first"),
        node("Mul", "edge_vectors first", "forces"),
    ),
    "the sum itself": (node("ReduceSum", "edge_vectors zero", "forces"),),
}


@pytest.mark.parametrize("nodes", RIGHT.values(), ids=RIGHT)
def test_atoms_may_have_neighbours(nodes):
    assert values_from_sums(model(*nodes)) == []


@pytest.mark.parametrize("nodes", WRONG.values(), ids=WRONG)
def test_atoms_may_have_nothing_else_in_common(nodes):
    (problem,) = values_from_sums(model(*nodes))
    assert problem.startswith("forces follows from a value of all atoms together (")


def test_a_virial_may_be_that_of_all_atoms():
    """As in files of earlier versions."""
    products = (
        node("Reshape", "edge_vectors triples", "lines"),
        node("Gemm", "lines lines", "virial", transA=1),
    )
    assert values_from_sums(model(*products, output="virial")) == []


@pytest.mark.parametrize("form", [REMOVED, TRIPLETS], ids=str)
def test_graphs_of_other_forms_are_right(
    form, builtin_potential, write_artefact, tmp_path, run_check, make_context
):
    path = write_artefact(tmp_path / "right.m3c.onnx", builtin_potential.with_form(form))
    context = make_context(exported(path))
    assert run_check(CHECKS, "artefact.sums", context, None)[0] is Verdict.PASS


def test_a_file_that_counts_neighbours_is_refused(
    attacked, silica_artefact, run_check, make_context
):
    """Its count is beyond any cell that is measured."""
    right, wrong = make_context(exported(silica_artefact)), attacked({"counted"})["counted"]
    assert run_check(CHECKS, "artefact.sums", right, None)[0] is Verdict.PASS
    assert run_check(CHECKS, "artefact.sums", wrong, None)[0] is Verdict.FAIL
