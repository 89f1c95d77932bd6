"""Sums and matrix products, and the additions that are fused with these."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from torch import fx

from m3compress.export.onnx.context import Handler, LoweringContext
from m3compress.export.onnx.traced import aten, product_chain, tensor_of


def _add(low: LoweringContext, node: Any) -> str:
    a, b = node.args[:2]
    for argument, other in ((a, b), (b, a)):
        if argument in low.fused:
            chain = product_chain(argument)
            mm = chain[0] if chain else argument
            addend = low.name(other)
            if len(chain) == 1:
                return low.product(mm, addend)
            rows = low.shape([-1, tensor_of(mm).shape[-1]])
            summed = low.product(mm, low.builder.node("Reshape", [addend, rows]))
            return low.builder.node("Reshape", [summed, low.shape(argument.args[1])])
    like = a if isinstance(a, fx.Node) else b
    return low.builder.node("Add", [low.name(a, like), low.name(b, like)])


def _matrix_product(low: LoweringContext, node: Any) -> str:
    return low.product(node)


def _add_matrix_product(low: LoweringContext, node: Any) -> str:
    bias, a, b = (low.name(argument) for argument in node.args[:3])
    return low.builder.node("Gemm", [a, b, bias])


def _sum(low: LoweringContext, node: Any) -> str:
    x = low.name(node.args[0])
    if node.target is aten.sum.default:
        return low.builder.node("ReduceSum", [x], keepdims=0)
    rank = tensor_of(node.args[0]).dim()
    axes = low.builder.constant([axis % rank for axis in node.args[1]], np.int64)
    keep = bool(node.args[2]) if len(node.args) > 2 else False
    return low.builder.node("ReduceSum", [x, axes], keepdims=int(keep))


HANDLERS: Final[dict[Any, Handler]] = {
    aten.add.Tensor: _add,
    aten.mm.default: _matrix_product,
    aten.bmm.default: _matrix_product,
    aten.addmm.default: _add_matrix_product,
    aten.sum.default: _sum,
    aten.sum.dim_IntList: _sum,
}
