"""Tables of rows are read as rows, masks are laid on slots: whatever else a graph makes of them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from m3compress.contract.forms import REMOVED, TRIPLETS
from m3compress.validate.checks.table_flow import CHECKS, added_masks, computed_indices
from m3compress.validate.result import Verdict
from m3compress.validate.setup.subject import exported

BY_INDEX = {"own-index", "window-by-gather", "neighbour-index", "neighbours-clipped"}
BY_COUNT = {"count-5-8", "count-52-57"}


def graph(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    """A graph of some nodes that ends in ``forces``."""
    forces = helper.make_tensor_value_info("forces", TensorProto.FLOAT, None)
    constants = [numpy_helper.from_array(np.array([1]), name) for name in ("one", "shape")]
    return helper.make_graph(nodes, "graph", [], [forces], constants)


def node(kind: str, inputs: str, output: str) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output])


@pytest.mark.parametrize("table", ["species", "neighbors", "incoming"])
def test_tables_of_rows_may_say_where_values_lie(table):
    flat = node("Reshape", f"{table} shape", "flat")
    assert computed_indices(graph(flat, node("Gather", "features flat", "forces"))) == []
    assert computed_indices(graph(node("Shape", table, "forces"))) == []


@pytest.mark.parametrize("table", ["species", "neighbors", "incoming"])
@pytest.mark.parametrize(
    "wrong",
    [("Cast", "{}"), ("Clip", "{} one"), ("Gather", "{} one"), ("Reshape", "features {}")],
    ids=lambda wrong: wrong[0],
)
def test_tables_of_rows_are_no_numbers(table, wrong):
    operator, inputs = wrong
    direct = computed_indices(graph(node(operator, inputs.format(table), "forces")))
    assert direct == [f"{operator} computes with {table}"]
    flat = node("Reshape", f"{table} shape", "flat")
    later = computed_indices(graph(flat, node(operator, inputs.format("flat"), "forces")))
    assert later == [f"{operator} computes with flat"]


def test_masks_are_laid_on_what_the_slots_hold():
    wide = node("Unsqueeze", "mask one", "wide")
    empty = node("Sub", "one wide", "empty")
    assert added_masks(graph(wide, empty, node("MatMul", "empty values", "forces"))) == []


@pytest.mark.parametrize(
    "wrong",
    [("ReduceSum", "empty one"), ("MatMul", "empty one"), ("MatMul", "mask incoming_mask")],
    ids=str,
)
def test_masks_are_not_added_up(wrong):
    wide, empty = node("Unsqueeze", "mask one", "wide"), node("Sub", "one wide", "empty")
    (problem,) = added_masks(graph(wide, empty, node(*wrong, "forces")))
    assert problem.startswith(f"{wrong[0]} computes with ")


@pytest.mark.parametrize("form", [REMOVED, TRIPLETS], ids=str)
def test_graphs_of_other_forms_are_right(
    form, builtin_potential, write_artefact, tmp_path, run_check, make_context
):
    path = write_artefact(tmp_path / "right.m3c.onnx", builtin_potential.with_form(form))
    context = make_context(exported(path))
    for check in ("artefact.indices", "artefact.counts"):
        assert run_check(CHECKS, check, context, None)[0] is Verdict.PASS


@pytest.mark.parametrize(
    ("check", "names"), [("artefact.indices", BY_INDEX), ("artefact.counts", BY_COUNT)]
)
def test_files_that_count_are_refused_whatever_was_measured(check, names, attacked, run_check):
    for name, wrong in attacked(names).items():
        assert run_check(CHECKS, check, wrong, None)[0] is Verdict.FAIL, name
