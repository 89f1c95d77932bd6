"""What a graph holds is read from the graph, and what no exported graph holds is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from m3compress.contract.forms import FACTORIZED
from m3compress.validate.checks.graph import CHECKS
from m3compress.validate.result import Verdict
from m3compress.validate.setup.subject import exported

IDS = [check.id for check in CHECKS]


@pytest.fixture
def problems(make_context, run_check):
    """``problems(path, id)``: what a check finds in a file; it passes if that is nothing."""

    def find(path: Path, name: str) -> list[str]:
        verdict, found = run_check(CHECKS, name, make_context(exported(path)), None)
        assert verdict is (Verdict.FAIL if found.evidence["problems"] else Verdict.PASS)
        return found.evidence["problems"]

    return find


@pytest.fixture(scope="module")
def mixed_artefact(builtin_potential, tmp_path_factory, write_artefact):
    """The built-in model in mixed precision, as a file with a manifest that a test gives it."""
    potential = builtin_potential.with_form(FACTORIZED)
    path = tmp_path_factory.mktemp("mixed") / "mixed.m3c.onnx"
    return write_artefact(path, potential, "mixed")


@pytest.mark.parametrize("name", IDS)
def test_a_right_file_has_no_problems(name, silica_artefact, problems):
    assert problems(silica_artefact, name) == []


# ---- precision ---------------------------------------------------------------------------------

REFUSED = "mixed precision, which loses what the limits of float32 ask for"


def test_a_graph_of_float32_that_calls_itself_mixed(write_wrong, problems):
    assert problems(write_wrong(precision="mixed"), "artefact.precision") == [
        "the manifest says mixed, the graph holds float32",
        REFUSED,
    ]


def test_mixed_precision_is_refused_whether_it_is_declared_or_not(
    mixed_artefact, write_wrong, problems
):
    declared = write_wrong(source=mixed_artefact)
    assert problems(declared, "artefact.operators") == []
    assert problems(declared, "artefact.precision") == [REFUSED]
    hidden = write_wrong(source=mixed_artefact, precision="float32")
    assert problems(hidden, "artefact.precision") == [
        "the manifest says float32, the graph holds mixed",
        REFUSED,
    ]


def through_float16(model):
    """Round one value on its way through float16."""
    nodes = model.graph.node
    nodes[-1].input[0], value = "rounded", nodes[-1].input[0]
    down = helper.make_node("Cast", [value], ["half"], to=TensorProto.FLOAT16)
    up = helper.make_node("Cast", ["half"], ["rounded"], to=TensorProto.FLOAT)
    last = nodes.pop()
    nodes.extend([down, up, last])


def with_float16_weights(model):
    model.graph.initializer.append(numpy_helper.from_array(np.float16([1.0]), "narrow"))


def with_a_value_of_float16(model):
    model.graph.value_info.append(helper.make_tensor_value_info("v", TensorProto.FLOAT16, None))


def in_a_branch(node: onnx.NodeProto, value: onnx.ValueInfoProto):
    def edit(model):
        branch = helper.make_graph([node], "branch", [], [value])
        model.graph.node.append(
            helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
        )

    return edit


def in_a_function(node: onnx.NodeProto):
    def edit(model):
        opset = helper.make_opsetid("", 18)
        model.functions.append(
            helper.make_function("ours", "hidden", ["x"], [node.output[0]], [node], [opset])
        )

    return edit


HALF = helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16)
FLOAT = helper.make_tensor_value_info("h", TensorProto.FLOAT16, None)


@pytest.mark.parametrize(
    "edit",
    [
        through_float16,
        with_float16_weights,
        with_a_value_of_float16,
        in_a_branch(HALF, FLOAT),
        in_a_function(HALF),
    ],
)
def test_float16_is_found_wherever_it_is(edit, write_wrong, problems):
    assert len(problems(write_wrong(edit), "artefact.precision")) == 2


@pytest.mark.parametrize("said", ["float32", "mixed"])
def test_of_files_without_a_graph_only_the_manifest_is_read(
    said, silica_artefact, make_context, tmp_path
):
    document = json.loads(silica_artefact.with_suffix(".json").read_text())
    plan = tmp_path / "x.m3c.plan"
    plan.write_bytes(b"a plan")
    plan.with_suffix(".json").write_text(
        json.dumps({**document, "backend": "tensorrt", "precision": said})
    )
    context = make_context(exported(plan))
    precision, *others = (next(iter(check.run(context, None))) for check in CHECKS)
    assert precision.evidence["problems"] == ([REFUSED] if said == "mixed" else [])
    for found in others:
        assert "holds no graph" in found.skipped


# ---- operators ---------------------------------------------------------------------------------


def struck_once(model):
    """Forces that are wrong once in ten thousand runs."""
    last = next(node for node in model.graph.node if node.output[0] == "forces")
    value, last.input[0] = last.input[0], "struck"
    rare = numpy_helper.from_array(np.float32(0.9999), "rare")
    model.graph.initializer.append(rare)
    nodes = [
        helper.make_node("RandomUniform", [], ["dice"], shape=[1]),
        helper.make_node("GreaterOrEqual", ["dice", "rare"], ["struck_now"]),
        helper.make_node("Cast", ["struck_now"], ["extra"], to=TensorProto.FLOAT),
        helper.make_node("Add", [value, "extra"], ["struck"]),
    ]
    others = [node for node in model.graph.node if node.output[0] not in {"forces"}]
    kept = [*others, *nodes, last]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def with_node(op, domain="", **attributes):
    def edit(model):
        model.graph.node.append(helper.make_node(op, ["x"], ["y"], domain=domain, **attributes))

    return edit


def with_domain(model):
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def with_float64(model):
    model.graph.initializer.append(numpy_helper.from_array(np.float64([1.0]), "wide"))


def with_weights_elsewhere(model):
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


FREE = helper.make_node("Dropout", ["x"], ["h"])


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (struck_once, "RandomUniform (1 nodes)"),
        (with_node("Multinomial"), "Multinomial (1 nodes)"),
        (with_node("FusedMatMul", domain="com.microsoft"), "com.microsoft.FusedMatMul (1 nodes)"),
        (with_node("ScatterND", reduction="add"), "ScatterND (1 nodes)"),
        (in_a_branch(FREE, FLOAT), "Dropout (2 nodes)"),
        (in_a_function(FREE), "a function hidden"),
        (with_domain, "the domain com.microsoft"),
        (with_float64, "tensors of type double"),
        (with_weights_elsewhere, "weights of c0 in another file"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_what_no_exported_graph_holds(edit, problem, write_wrong, problems):
    assert problem in problems(write_wrong(edit), "artefact.operators")


# ---- scatters ----------------------------------------------------------------------------------


def scatter(reduction: str) -> onnx.NodeProto:
    return helper.make_node("ScatterND", ["x", "i", "u"], ["h"], name="sum", reduction=reduction)


@pytest.mark.parametrize(("reduction", "n_problems"), [("add", 1), ("max", 1), ("none", 0)])
def test_a_scatter_that_reduces(reduction, n_problems, write_wrong, problems):
    path = write_wrong(lambda model: model.graph.node.append(scatter(reduction)))
    found = problems(path, "artefact.no-scatter")
    assert found == [f"ScatterND sum ({reduction})"] * n_problems


def test_a_scatter_in_a_branch_is_found(write_wrong, problems):
    value = helper.make_tensor_value_info("h", TensorProto.FLOAT, None)
    path = write_wrong(in_a_branch(scatter("add"), value))
    assert len(problems(path, "artefact.no-scatter")) == 2
