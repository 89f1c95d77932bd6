"""Sums, differences and matrix products, and the additions that are fused with these."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import fx

from m3compress.errors import ExportError
from m3compress.export.onnx.context import Handler, LoweringContext
from m3compress.export.onnx.traced import argument, aten, product_chain, tensor_of


def _add(low: LoweringContext, node: Any) -> str:
    a, b = node.args[:2]
    for product, other in ((a, b), (b, a)):
        if product in low.fused:
            return _add_to_product(low, product, other)
    return _sum_or_difference(low, node, "Add")


def _add_to_product(low: LoweringContext, product: fx.Node, other: fx.Node) -> str:
    """One Gemm; a view between product and addition is moved behind both."""
    mm, *view = product_chain(product)
    addend = low.name(other)
    if not view:
        return _product(low, mm, addend)
    rows = low.shape([-1, tensor_of(mm).shape[-1]])
    summed = _product(low, mm, low.builder.node("Reshape", [addend, rows]))
    return low.builder.node("Reshape", [summed, low.shape(view[0].args[1])])  # type: ignore[arg-type]


def _product(low: LoweringContext, node: Any, *addend: str) -> str:
    """A matrix product, with an addend of the same shape if there is one."""
    a, b = (low.name(factor) for factor in node.args[:2])
    return low.builder.node("Gemm" if addend else "MatMul", [a, b, *addend])


def _subtract(low: LoweringContext, node: Any) -> str:
    return _sum_or_difference(low, node, "Sub")


def _sum_or_difference(low: LoweringContext, node: Any, op: str) -> str:
    """``a ± alpha · b``."""
    dtype = tensor_of(node).dtype
    if dtype is torch.bool:
        raise ExportError(f"{op} of booleans has no ONNX form")
    a, b = (low.name(operand, dtype) for operand in node.args[:2])
    return low.builder.node(op, [a, _scaled(low, b, node.kwargs.get("alpha", 1), dtype)])


def _scaled(low: LoweringContext, name: str, factor: Any, dtype: torch.dtype) -> str:
    return name if factor == 1 else low.builder.node("Mul", [name, low.name(factor, dtype)])


def _reverse_subtract(low: LoweringContext, node: Any) -> str:
    """``scalar − alpha · x``."""
    x, scalar = node.args[:2]
    dtype = tensor_of(node).dtype
    minuend, subtrahend = low.name(scalar, dtype), low.name(x, dtype)
    return low.builder.node("Sub", [minuend, _scaled(low, subtrahend, argument(node, 2, 1), dtype)])


def _add_matrix_product(low: LoweringContext, node: Any) -> str:
    """``beta · bias + alpha · a b``."""
    bias, a, b = (low.name(operand) for operand in node.args[:3])
    factors = {name: float(value) for name, value in node.kwargs.items() if value != 1}
    return low.builder.node("Gemm", [a, b, bias], **factors)


def _sum(low: LoweringContext, node: Any) -> str:
    """A sum over some axes; over all of them if none is named."""
    source, axes = node.args[0], argument(node, 1, None)
    keep = int(argument(node, 2, 0))
    x = low.name(source, tensor_of(node).dtype)
    if not axes:
        return low.builder.node("ReduceSum", [x], keepdims=keep)
    rank = tensor_of(source).dim()
    positions = low.builder.constant([axis % rank for axis in axes], np.int64)
    return low.builder.node("ReduceSum", [x, positions], keepdims=keep)


HANDLERS: Final[dict[Any, Handler]] = {
    aten.add.Tensor: _add,
    aten.sub.Tensor: _subtract,
    aten.rsub.Scalar: _reverse_subtract,
    aten.mm.default: _product,
    aten.bmm.default: _product,
    aten.addmm.default: _add_matrix_product,
    aten.sum.default: _sum,
    aten.sum.dim_IntList: _sum,
}
