"""Every traced operator's handler against PyTorch: random inputs, through ONNX Runtime."""

from __future__ import annotations

import operator

import pytest
import torch
from torch.nn import functional

from m3compress.errors import ExportError
from m3compress.export.onnx.operators import HANDLERS
from m3compress.export.onnx.traced import TO_COPY, UNSAFE_VIEW, aten

WEIGHT = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
BIAS = torch.randn(6, generator=torch.Generator().manual_seed(2))


def gradient(function):
    """dΣf/dx, recorded as one graph with the function itself."""

    def both(x, *others):
        leaf = x.detach().requires_grad_()
        y = function(leaf, *others)
        (slope,) = torch.autograd.grad(y.sum(), leaf)
        return y.detach(), slope

    return both


def gated(x, w):
    """A gated MLP: the gradient of the gate is a product with what is gated."""
    return (x @ w).sigmoid() * functional.silu(x @ w * 0.5)


def shared_gate(x):
    """σ · w is already in the graph when the gradient of σ is asked for."""
    sigmoid, w = torch.sigmoid(x), x.cos()
    return w * sigmoid + aten.sigmoid_backward(x.sin() * w, sigmoid)


#: (operator, function, specifications of its inputs); the operator must be in its trace.
CASES = [
    # ---- sums and differences
    (aten.add.Tensor, lambda x, y: x + y, "n k", "n k"),
    (aten.add.Tensor, lambda x, y: x + y, "n k 4", "k 1"),
    (aten.add.Tensor, lambda x: 2.5 + x, "n k"),
    (aten.add.Tensor, lambda x: x + 2.5, "n:int"),
    (aten.add.Tensor, lambda x, y: x + y, "n:int", "n"),
    (aten.add.Tensor, lambda x, y: x + y, "n:half", "n"),
    (aten.add.Tensor, lambda x, y: x + y, "n:bool", "n:int"),
    (aten.add.Tensor, lambda x: x + x.shape[0], "n k"),
    (aten.add.Tensor, lambda x, y: torch.add(x, y, alpha=3), "n k", "n k"),
    (aten.add.Tensor, lambda x: x + torch.tensor(0.1, dtype=torch.float64), "n"),
    (aten.sub.Tensor, lambda x, y: x - y, "n k", "k"),
    (aten.sub.Tensor, lambda x: x - 2, "n:int"),
    (aten.sub.Tensor, lambda x, y: torch.sub(x, y, alpha=0.5), "n", "n"),
    (aten.rsub.Scalar, lambda x: 1 - x, "n k"),
    (aten.rsub.Scalar, lambda x: 1.5 - x, "n:int"),
    (aten.rsub.Scalar, lambda x: torch.rsub(x, 2.0, alpha=3.0), "n"),
    # ---- products and quotients
    (aten.mul.Tensor, lambda x, y: x * y, "n k 4", "n 1 4"),
    (aten.mul.Tensor, lambda x: 0.1 * x, "n k:half"),
    (aten.mul.Tensor, lambda x: x * 3, "n:int"),
    (aten.mul.Tensor, lambda x: x * 0.5, "n:int"),
    (aten.mul.Tensor, lambda x, y: x * y, "n", "n:bool"),
    (aten.mul.Tensor, lambda x: x * x.shape[1], "n k:double"),
    (aten.mul.Scalar, lambda x: aten.mul.Scalar(x, 2.5), "n k"),
    (aten.div.Tensor, lambda x, y: x / y, "n k", "n k:positive"),
    (aten.div.Tensor, lambda x: x / 3, "n:int"),
    (aten.div.Tensor, lambda x, y: x / (y * y + 1), "n:int", "n:int"),
    (aten.reciprocal.default, lambda x: 1 / x, "n k:positive"),
    (aten.remainder.Scalar, lambda x: x % 4, "n k:int"),
    (aten.remainder.Scalar, lambda x: x % -4, "n k:int"),
    # ---- comparisons, choices, casts
    (aten.le.Scalar, lambda x: x <= 0.5, "n k"),
    (aten.le.Scalar, lambda x: x <= 2, "n:int"),
    (aten.ge.Scalar, lambda x: x >= 0.5, "n:int"),
    (aten.ge.Scalar, lambda x: x >= 0.25, "n k:half"),
    (aten.ne.Tensor, lambda x, y: x != y, "n:int", "n:int"),
    (aten.ne.Tensor, lambda x, y: x != y, "n 1:index", "k:index"),
    (aten.ne.Tensor, lambda x, y: x != y, "n:index", "n"),
    (aten.bitwise_and.Tensor, lambda x, y: x & y, "n k:bool", "k:bool"),
    (aten.bitwise_and.Tensor, lambda x, y: x & y, "n k:int", "k:int"),
    (aten.where.self, torch.where, "n k:bool", "n k", "n 1"),
    (aten.where.self, torch.where, "n:bool", "n:half", "n"),
    (aten.where.self, lambda c, x: torch.where(c, x, 0.5), "n:bool", "n"),
    (aten.scalar_tensor.default, lambda c, x: torch.where(c, x, 0.0), "n:bool", "n:half"),
    (aten.scalar_tensor.default, lambda x: x * aten.scalar_tensor(x.shape[0]), "n k"),
    (aten.clamp.default, lambda x: x.clamp(-0.5, 0.75), "n k"),
    (aten.clamp.default, lambda x: x.clamp(min=0.1), "n k:half"),
    (aten.clamp.default, lambda x: x.clamp(max=0.1), "n k"),
    (aten.clamp.default, lambda x: x.clamp(-2, 3), "n:int"),
    (aten.clamp.default, lambda x: x.clamp(min=-1.5), "n:int"),
    (TO_COPY, lambda x: x.half().float(), "n k"),
    (TO_COPY, lambda x: x.long(), "n k"),
    (TO_COPY, lambda x: x.float(), "n k:bool"),
    (TO_COPY, lambda x: x.bool(), "n k:int"),
    (TO_COPY, lambda x: x.double(), "n k"),
    # ---- functions
    (aten.neg.default, lambda x: -x, "n k"),
    (aten.neg.default, lambda x: -x, "n:int"),
    (aten.sqrt.default, torch.sqrt, "n k:positive"),
    (aten.sqrt.default, torch.sqrt, "n k:index"),
    (aten.sin.default, torch.sin, "n k"),
    (aten.cos.default, torch.cos, "n k"),
    (aten.detach.default, lambda x: x.detach() * 2, "n k"),
    (aten.sigmoid.default, torch.sigmoid, "n k"),
    (aten.sigmoid.default, torch.sigmoid, "n:int"),
    (aten.silu.default, lambda x: functional.silu(x), "n k"),
    (aten.silu.default, lambda x: x * functional.silu(BIAS), "n 6"),
    (aten.silu_backward.default, gradient(functional.silu), "n k"),
    (aten.silu_backward.default, gradient(lambda x: functional.silu(functional.silu(x))), "n k"),
    (aten.silu_backward.default, aten.silu_backward, "n k", "n k"),
    (
        aten.silu_backward.default,
        lambda x: aten.silu_backward(x, BIAS.expand(x.shape[0], 6)),
        "n 6",
    ),
    (aten.sigmoid_backward.default, gradient(torch.sigmoid), "n k"),
    (aten.sigmoid_backward.default, gradient(gated), "n 4", "4 6"),
    (aten.sigmoid_backward.default, shared_gate, "n k"),
    (aten.sigmoid_backward.default, lambda x, s: aten.sigmoid_backward(x * 2.0, s), "n k", "n k"),
    # ---- matrix products and sums
    (aten.mm.default, lambda x, y: x @ y, "n 4", "4 k"),
    (aten.mm.default, lambda x: x @ WEIGHT, "n k 4"),
    (aten.mm.default, lambda x, y: x @ WEIGHT + y, "n 4", "n 6"),
    (aten.mm.default, lambda x, y: y + x @ WEIGHT, "n k 4", "n k 6"),
    (aten.mm.default, lambda x, y: (x @ WEIGHT).view(-1, 3) + y.view(-1, 3), "n 4", "n 6"),
    (aten.mm.default, lambda x, y, z: (x @ y).view(-1) + z.view(-1), "n 4", "4 k", "n k"),
    (aten.mm.default, lambda x: x @ WEIGHT + BIAS, "n k 4"),
    (aten.mm.default, lambda x: x @ WEIGHT + x @ WEIGHT, "n 4"),
    (aten.mm.default, lambda x: (y := x @ WEIGHT) + y, "n 4"),
    (aten.mm.default, lambda x, y: (x @ WEIGHT.half() + y).half(), "n 4:half", "n 6"),
    (aten.mm.default, lambda x, y: x @ y + x @ y * 2, "n n:int", "n n:int"),
    (aten.bmm.default, torch.bmm, "n k 4", "n 4 2"),
    (aten.bmm.default, lambda x, y: x @ y.transpose(1, 2), "n k 4", "n k 4"),
    (aten.addmm.default, lambda x: functional.linear(x, WEIGHT.T, BIAS), "n 4"),
    (aten.addmm.default, lambda c, x: torch.addmm(c, x, WEIGHT, beta=0.5, alpha=2), "n 6", "n 4"),
    (aten.sum.default, lambda x: x.sum(), "n k"),
    (aten.sum.default, lambda x: x.sum(), "n k:int"),
    (aten.sum.default, lambda x: x.sum(), "n k:bool"),
    (aten.sum.default, lambda x: x.sum(dtype=torch.float64), "n k"),
    (aten.sum.dim_IntList, lambda x: x.sum(-1), "n k 4"),
    (aten.sum.dim_IntList, lambda x: x.sum((0, -1)), "n k 4"),
    (aten.sum.dim_IntList, lambda x: x.sum((-2, 0), keepdim=True), "n k 4"),
    (aten.sum.dim_IntList, lambda x: x.sum(1), "n k:bool"),
    (aten.sum.dim_IntList, lambda x: x.sum((), keepdim=True), "n k"),
    (aten.sum.dim_IntList, lambda x: torch.sum(x, None, keepdim=True), "n k"),
    # ---- shapes and sizes
    (aten.view.default, lambda x: x.view(-1, 4), "n k 4"),
    (aten.view.default, lambda x: x.view(x.shape[0], 2, 2, -1), "n 4 k"),
    (aten.view.default, lambda x: x.view(x.shape[0] * x.shape[1] * 4), "n k 4"),
    (UNSAFE_VIEW, lambda x: x @ WEIGHT, "n k 4"),
    (aten.expand.default, lambda x, y: x[:, None].expand(-1, y.shape[0]) + 0, "n", "k"),
    (aten.expand.default, lambda x, y: x.expand(y.shape[0], -1) + 0, "n", "k"),
    (aten.expand.default, lambda x, y: x.expand(y.shape[0], 3, 4), "4", "n"),
    (aten.expand.default, lambda x, y: x[:, None].expand(-1, y.shape[1]) * y, "n", "n k"),
    (aten.expand.default, lambda x, y: (z := x[:, None].expand(-1, y.shape[0])) * z, "n", "k"),
    (aten.expand.default, lambda x, y: y[None].expand(x.shape[0], -1) - x[:, None], "n", "k"),
    (aten.expand.default, lambda x, y: x[:, None].expand(-1, y.shape[0]), "n", "k"),
    (aten.expand.default, lambda x: x.expand(-1, -1) * 2, "n k"),
    (aten.permute.default, lambda x: x.permute(2, 0, 1), "n k 4"),
    (aten.permute.default, lambda x: x.permute(-1, -3, -2), "n k 4"),
    (aten.transpose.int, lambda x: x.transpose(0, -1), "n k 4"),
    (aten.t.default, lambda x: x.t(), "n k"),
    (aten.t.default, lambda x: x.t() * 2, "n"),
    (aten.squeeze.dim, lambda x: x.squeeze(-1), "n k 1"),
    (aten.squeeze.dim, lambda x: x.squeeze(1) * 2, "n k"),
    (aten.unsqueeze.default, lambda x: x[:, None] * x, "n"),
    (aten.unsqueeze.default, lambda x: x.unsqueeze(-1), "n k"),
    (aten.unsqueeze.default, lambda x: x.unsqueeze(-3), "n k"),
    (aten.sym_size.int, lambda x: x.sum(1)[:, None].expand(x.shape[0], x.shape[1]), "n k"),
    (operator.mul, lambda x: torch.arange(x.shape[0] * x.shape[1]), "n k"),
    # ---- indexing
    (aten.select.int, lambda x: x[1], "n k"),
    (aten.select.int, lambda x: x[..., -1], "n k 4"),
    (aten.select.int, lambda x: x.select(-2, -1), "n k 4"),
    (aten.slice.Tensor, lambda x: x[1:], "n k"),
    (aten.slice.Tensor, lambda x: x[:, :-1], "n k"),
    (aten.slice.Tensor, lambda x: x[..., 1:3], "n k 4"),
    (aten.slice.Tensor, lambda x: x[:] * x[:, 0:], "n k"),
    (aten.slice.Tensor, lambda x: x[-2:100], "n k"),
    (aten.slice.Tensor, lambda x: x[:, ::2], "n k"),
    (aten.slice.Tensor, lambda x, y: y[: x.shape[1]], "n k", "9"),
    (aten.slice.Tensor, lambda x: aten.slice.Tensor(x, 1), "n k"),
    (aten.slice.Tensor, lambda x: aten.slice.Tensor(x, -1, 1), "n k"),
    (aten.index_select.default, lambda x, i: x.index_select(0, i), "n k", "k:index"),
    (aten.index_select.default, lambda x, i: x.index_select(-1, i), "n k", "9:index"),
    (aten.embedding.default, lambda i: functional.embedding(i, WEIGHT), "n k:index"),
    (aten.embedding.default, lambda i, w: functional.embedding(i, w), "n:index", "k 4"),
    (aten.index.Tensor, lambda x, i: x[i], "n k", "n k:index"),
    (aten.index.Tensor, lambda x, i: x[-1 - i], "n:int", "k:index"),
    (aten.index.Tensor, lambda i: WEIGHT[i], "n:index"),
    (aten.unbind.int, lambda x: x.unbind(-1), "n k 3"),
    (aten.unbind.int, lambda x: x.unbind(), "4 n"),
    (aten.split.Tensor, lambda x: x.split(3, -1), "n k 7"),
    (aten.split.Tensor, lambda x: x.split(2), "4 n"),
    (aten.split_with_sizes.default, lambda x: x.split([1, 4, 2], dim=1), "n 7 k"),
    (operator.getitem, lambda x: x.split([1, 4, 2], dim=-1)[1], "n 7"),
    (operator.getitem, lambda x: x + WEIGHT.unbind(0)[2], "n 6"),
    (aten.stack.default, lambda x, y: torch.stack([x, y]), "n k", "n k"),
    (aten.stack.default, lambda x, y: torch.stack([x, y], -1), "n k", "n k:half"),
    (aten.cat.default, lambda x, y: torch.cat([x, y]), "n 4", "k 4"),
    (aten.cat.default, lambda x, y: torch.cat([x, y, x], -1), "n k", "n 4"),
    (aten.cat.default, lambda x, y: torch.cat([x, y], 1), "n k", "n 4:int"),
    # ---- made from numbers
    (aten.ones_like.default, torch.ones_like, "n k"),
    (aten.ones_like.default, lambda x: torch.ones_like(x, dtype=torch.int64), "n k"),
    (aten.ones_like.default, lambda x: torch.ones_like(x.sum()) * x, "n"),
    (aten.zeros_like.default, torch.zeros_like, "n k:half"),
    (aten.zeros_like.default, lambda x: torch.zeros_like(x) + x, "n 4:int"),
    (aten.arange.default, lambda x: torch.arange(x.shape[0]) + x, "n"),
    (aten.arange.default, lambda x: torch.arange(x.shape[0], dtype=torch.float32), "n"),
    (aten.arange.default, lambda x: torch.arange(6) + x, "n 6"),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_as_pytorch_computes_it(lower_function, case):
    target, function, *specs = case
    lowered = lower_function(function, *specs)
    assert target in lowered.operators
    lowered.check()


def test_every_handler_has_a_case():
    assert {case[0] for case in CASES} == set(HANDLERS)


def test_an_operator_without_a_handler_is_named(lower_function):
    with pytest.raises(ExportError, match=r"aten\.tanh\.default has no ONNX form") as caught:
        lower_function(torch.tanh, "n k")
    assert torch.__version__ in caught.value.hint


@pytest.mark.parametrize(
    ("function", "specs", "message"),
    [
        (lambda x: x % 0.5, ["n"], "remainder of floating-point"),
        (lambda x, y: x + y, ["n:bool", "n:bool"], "Add of booleans"),
        (lambda x, y: x * y, ["n:bool", "n:bool"], "Mul of booleans"),
        (lambda x: x + torch.arange(1.5), ["n 2"], "floating-point number"),
        (lambda x: x * 2, ["n:bfloat"], "torch.bfloat16"),
        (lambda x, i: x[i, i], ["n k", "k:index"], "one tensor of integers"),
        (lambda x, i: x[:, i], ["n k", "k:index"], "one tensor of integers"),
        (lambda x: x.unbind(0), ["n k"], "n = 5"),
        (lambda x: x.split(2), ["n k"], "n = 5"),
        (lambda x: x.split(5), ["n k"], "its size depends on the input"),
        (lambda x: x.split([2, x.shape[0] - 2]), ["n k"], "has no ONNX form|of known sizes"),
        (lambda x: torch.arange(x.shape[0] + 1), ["n"], "has no ONNX form"),
        (lambda x: torch.arange(x.shape[0] * x.shape[0]), ["n"], r"the size .* is not a size"),
    ],
)
def test_what_cannot_be_exported_is_refused(lower_function, function, specs, message):
    with pytest.raises(ExportError, match=message):
        lower_function(function, *specs)
