"""What rounding may do comes from the trained model: files that are off by more are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import helper, numpy_helper

from m3compress.validate.checks import derivatives, invariants, parity
from m3compress.validate.checks.rounding import (
    energy_tolerance,
    force_tolerance,
    rounded_subject,
    same_measure,
)
from m3compress.validate.checks.selection import select
from m3compress.validate.result import Verdict
from m3compress.validate.setup.subject import exported

CHECKS = (*invariants.CHECKS, *derivatives.CHECKS, *parity.CHECKS)
#: Checks whose limit is 1: what is tolerated is measured.
TOLERANT = ("grad.forces", "grad.stress", "inv.rotation", "inv.energy")


@pytest.fixture
def open_gate(make_context, builtin_spec, small_zoo):
    """A gate for a file, with its twin."""
    return lambda path: make_context(exported(path, threads=1), twin=builtin_spec, zoo=small_zoo)


def scaled_forces(factor):
    def edit(model):
        last = next(node for node in model.graph.node if node.output[0] == "forces")
        model.graph.initializer.append(numpy_helper.from_array(np.float32(factor), "factor"))
        scaled = helper.make_node("Mul", [last.input[0], "factor"], ["forces"])
        model.graph.node.remove(last)
        model.graph.node.append(scaled)

    return edit


def rounded_backward(model):
    """Weights that only the gradient reads, rounded to float16 and stored in float32."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    forward, open_ends = set(), ["energies"]
    while open_ends:
        name = open_ends.pop()
        if name not in forward:
            forward.add(name)
            open_ends += list(made_by[name].input) if name in made_by else []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.name not in forward and values.ndim == 2 and values.dtype == np.float32:
            rounded = values.astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))


@pytest.mark.parametrize(
    ("edit", "seen_by"),
    [
        (scaled_forces(1.0035), ("grad.forces", "parity.export-force")),
        (rounded_backward, ("parity.export-force",)),
    ],
    ids=["scaled", "rounded"],
)
def test_wrong_forces_are_refused_whatever_the_file_says(
    edit, seen_by, write_wrong, open_gate, run_check
):
    context = open_gate(write_wrong(edit, precision="mixed"))
    for name in seen_by:
        verdict, found = run_check(CHECKS, name, context, context.candidate_subject)
        assert verdict is Verdict.FAIL, name
        assert found.value > 2


@pytest.mark.parametrize("name", TOLERANT)
def test_the_right_file_is_within_ten_times_of_its_limit(
    name, silica_artefact, open_gate, run_check
):
    context = open_gate(silica_artefact)
    verdict, found = run_check(CHECKS, name, context, context.candidate_subject)
    assert verdict is Verdict.PASS
    assert 0.03 < found.value < 0.8


def test_tolerances_are_those_of_the_trained_model(open_gate, silica_artefact, write_wrong):
    right, wrong = (open_gate(path) for path in (silica_artefact, write_wrong(scaled_forces(1.1))))
    for tolerance in (force_tolerance, energy_tolerance):
        first, second = (
            tolerance(context, select(context, context.reference_subject, most=3))
            for context in (right, wrong)
        )
        assert first == second
        assert 1e-6 < first < 2e-4


def test_a_control_is_measured_by_the_reference(builtin_spec, make_context):
    context = make_context(builtin_spec)
    assert rounded_subject(context).spec == replace(builtin_spec, precision="float32")


def test_without_rounding_the_floor_is_left(pair_subject, fake_gate):
    context = fake_gate(pair_subject)
    entries = select(context, pair_subject, most=3)
    assert force_tolerance(context, entries) == pytest.approx(10 * 2**-23)
    tolerance = same_measure(derivatives.measure_forces, 1e-3)
    assert tolerance(context, entries) == pytest.approx(1e-3, rel=0.1)
