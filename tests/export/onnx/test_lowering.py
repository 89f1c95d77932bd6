"""Lowering of small functions: what the graph holds, besides the right numbers."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from m3compress.errors import ExportError

WEIGHT = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
SQUARE = torch.randn(6, 6, generator=torch.Generator().manual_seed(2))
WIDE = torch.randn(64, 64, generator=torch.Generator().manual_seed(3)) / 8


def test_what_is_known_is_computed_at_once(lower_function):
    lowered = lower_function(lambda x: x @ (WEIGHT @ SQUARE.T).cos(), "n 4")
    assert lowered.ops == {"MatMul": 1}
    assert len(lowered.model.graph.initializer) == 1
    lowered.check()


def test_equal_values_are_computed_once(lower_function):
    lowered = lower_function(lambda x: x.sin() * x.cos() + x.sin() / x.cos(), "n k")
    assert lowered.ops == {"Sin": 1, "Cos": 1, "Mul": 1, "Div": 1, "Add": 1}
    lowered.check()


def test_what_is_not_returned_is_not_computed(lower_function):
    def function(x):
        (x.sin() @ WEIGHT).cos()
        return x + 1

    assert lower_function(function, "n 4").ops == {"Add": 1}


def test_sizes_come_from_the_inputs_alone(lower_function):
    def function(x):
        y = x.sin().cos()
        return y.view(y.shape[0] * y.shape[1], 4) * torch.arange(y.shape[1])[0]

    lowered = lower_function(function, "n k 4")
    names = {value.name for value in lowered.model.graph.input}
    shapes = [node for node in lowered.model.graph.node if node.op_type == "Shape"]
    assert shapes
    assert all(set(node.input) <= names for node in shapes)
    lowered.check()


@pytest.mark.parametrize(
    ("function", "specs", "products", "reshapes"),
    [
        (lambda x, y: x @ WEIGHT + y, ("n 4", "n 6"), {"Gemm": 1}, 0),
        (lambda x, y: y + x @ WEIGHT, ("n k 4", "n k 6"), {"Gemm": 1}, 3),
        (lambda x, y: x @ WEIGHT + y @ WEIGHT, ("n 4", "n 4"), {"Gemm": 1, "MatMul": 1}, 0),
        (lambda x, y: x @ WEIGHT + y, ("n 4", "6"), {"MatMul": 1}, 0),
    ],
)
def test_a_product_and_a_sum_are_one_gemm(lower_function, function, specs, products, reshapes):
    lowered = lower_function(function, *specs)
    found = {op: count for op, count in lowered.ops.items() if op in {"Gemm", "MatMul"}}
    assert found == products
    assert lowered.ops["Add"] == (0 if "Gemm" in products else 1)
    assert lowered.ops["Reshape"] == reshapes
    lowered.check()


@pytest.mark.parametrize(
    ("function", "kept"),
    [
        (lambda x, y: x[:, None].expand(-1, y.shape[1]) * y, 0),
        (lambda x, y: y / x[:, None].expand(-1, y.shape[1]), 0),
        (lambda x, y: x[:, None].expand(-1, y.shape[1]) - y, 0),
        (lambda x, y: (z := x[:, None].expand(-1, y.shape[1])) * z, 1),
        (lambda x, y: x[:, None].expand(-1, y.shape[1]).sin(), 1),
        (lambda x, y: x[:, None].expand(-1, y.shape[1]), 1),
        (lambda x, y: ((z := x[:, None].expand(-1, y.shape[1])) * y, z), 1),
        (lambda x, y: x[:, None].expand(-1, y.shape[1]) * y[:, :1].expand(-1, y.shape[1]), 2),
    ],
)
def test_an_expansion_stays_where_it_does_more_than_broadcast(lower_function, function, kept):
    lowered = lower_function(function, "n", "n k")
    assert lowered.ops["Expand"] == kept
    lowered.check()


def gradient(x, function):
    leaf = x.detach().requires_grad_()
    y = function(leaf)
    (slope,) = torch.autograd.grad(y.sum(), leaf)
    return y.detach(), slope


def test_silu_alone_keeps_no_slope(lower_function):
    assert lower_function(lambda x: functional.silu(x), "n k").ops == {"Sigmoid": 1, "Mul": 1}


def test_silu_and_its_slope_share_one_sigmoid(lower_function):
    lowered = lower_function(lambda x: gradient(x, functional.silu), "n k")
    assert lowered.ops["Sigmoid"] == 1
    lowered.check()


def test_the_gradient_of_a_gate_reuses_the_gated_product(lower_function):
    def function(x):
        gate, w = torch.sigmoid(x), x.cos()
        return w * gate + torch.ops.aten.sigmoid_backward(x.sin() * w, gate)

    # w σ, u (w σ), and that times 1 − σ; u w itself is not needed.
    assert lower_function(function, "n k").ops["Mul"] == 3


def test_a_wide_value_is_computed_again_for_the_gradient(lower_function):
    def function(x):
        return gradient(x, lambda leaf: functional.silu(leaf @ WIDE[:3]) @ WIDE)

    lowered = lower_function(function, "n k 3")
    assert lowered.ops["Sigmoid"] == 2  # equal nodes, merged within forward and backward only
    lowered.check()


def test_a_slope_is_made_at_once_where_its_silu_is_computed_again(lower_function):
    def gated(leaf):
        mixed = leaf @ WIDE
        return (functional.silu(mixed @ WIDE) * (mixed @ WIDE).sigmoid()) @ WIDE

    lowered = lower_function(lambda x: gradient(x, gated), "n k 64")
    ops = [node.op_type for node in lowered.model.graph.node]
    # σ and y; the slope from x, y and σ; only then the gradients.
    assert "Sigmoid Mul Sub Add Mul" in " ".join(ops)
    assert ops.count("Sub") == 2  # x − y, and 1 − σ of the gate
    lowered.check()


def test_taking_apart_is_one_pass(lower_function):
    lowered = lower_function(lambda x: torch.stack(x.unbind(-1)[::-1]), "n k 3")
    assert lowered.ops["Split"] == 1
    assert "Gather" not in lowered.ops
    lowered.check()


def test_one_function_gives_the_same_bytes(lower_function):
    def function(x, y):
        return gradient(x, lambda leaf: functional.silu(leaf @ WIDE) * y.sigmoid())

    first, again = (lower_function(function, "n k 64", "n k 64").model for _ in range(2))
    assert first.SerializeToString(deterministic=True) == again.SerializeToString(
        deterministic=True
    )


def test_a_size_that_is_no_product_of_input_sizes_is_refused(lower_function):
    def function(x):
        return torch.cat([x, x])[:, None].expand(-1, x.shape[0] * 2 + 1)

    with pytest.raises(ExportError):
        lower_function(function, "n")


def test_a_trace_for_one_size_is_refused(lower_function):
    with pytest.raises(ExportError, match="holds for n = 5 of input0 only"):
        lower_function(lambda x: x.view(5, 4).sin(), "n 4")
