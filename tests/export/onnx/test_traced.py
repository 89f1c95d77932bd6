"""What a trace says about its nodes: products that can be fused, types, sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from m3compress.errors import ExportError
from m3compress.export.onnx.traced import (
    aten,
    common_dtype,
    fusible_products,
    known_size,
    numpy_dtype,
    same_shape,
)
from m3compress.export.trace import record

WEIGHT = torch.eye(4)


X, Y = torch.ones(5, 4), torch.ones(5, 4)
EDGES, OTHERS = torch.ones(5, 3, 4), torch.ones(5, 3, 4)
MM, VIEW = aten.mm.default, aten._unsafe_view.default


@pytest.mark.parametrize(
    ("function", "inputs", "expected"),
    [
        (lambda x, y: x @ WEIGHT + y, (X, Y), [MM]),
        (lambda x, y: y + x @ WEIGHT, (X, Y), [MM]),
        (lambda x, y: y + x @ WEIGHT, (EDGES, OTHERS), [MM, VIEW]),
        # Two products: one Gemm adds to the other product.
        (lambda x, y: x @ WEIGHT + y @ WEIGHT, (X, Y), [MM]),
        # Used elsewhere, the product itself is needed.
        (lambda x, y: (x @ WEIGHT + y) * (x @ WEIGHT), (X, Y), [MM]),
        (lambda x, y: (p := x @ WEIGHT) * (p + y), (X, Y), []),
        (lambda x, y: (p := x @ WEIGHT) * (p + y), (EDGES, OTHERS), []),
        (lambda x, y: (p := x @ WEIGHT) + p, (X, Y), []),
        # A broadcast addend, a scaled one, a number, another type: the sum stays by itself.
        (lambda x, y: x @ WEIGHT + y[0], (X, Y), []),
        (lambda x, y: torch.add(x @ WEIGHT, y, alpha=2), (X, Y), []),
        (lambda x, y: x @ WEIGHT + 1.0, (X, Y), []),
        (lambda x, y: x @ WEIGHT + y.double(), (X, Y), []),
        (lambda x, y: x @ WEIGHT - y, (X, Y), []),
        # Gemm is for floating-point numbers.
        (lambda x, y: x @ WEIGHT.long() + y, (X.long(), Y.long()), []),
    ],
)
def test_which_products_are_fused_with_an_addition(function, inputs, expected):
    graph = record(function, *inputs).graph
    fused = fusible_products(graph)
    assert [node.target for node in graph.nodes if node in fused] == expected


@pytest.fixture(scope="module")
def inputs():
    graph = record(lambda x, y, z: (x * y, z.view(3, 4)), X, Y, torch.ones(12)).graph
    return graph.find_nodes(op="placeholder")


def test_sizes_that_a_trace_found_equal_are_the_same(inputs):
    x, y, z = inputs
    assert same_shape(x, y)
    assert not same_shape(x, z)


def test_sizes_that_a_trace_relies_on_are_known():
    graph = record(lambda x: x[:, 0] * x.sum(1).view(5), X).graph
    n, width = graph.find_nodes(op="placeholder")[0].meta["val"].shape
    assert (known_size(n), known_size(width), known_size(7)) == (5, None, 7)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [(1, 2.5, torch.float32), (torch.ones(2).long(), 1, torch.int64), (X.half(), 2.5, torch.half)],
)
def test_the_type_of_a_comparison(a, b, expected):
    assert common_dtype(a, b) is expected


def test_types_that_no_graph_has():
    assert numpy_dtype(torch.float16) is np.float16
    with pytest.raises(ExportError, match=r"torch\.complex64 cannot be exported"):
        numpy_dtype(torch.complex64)
