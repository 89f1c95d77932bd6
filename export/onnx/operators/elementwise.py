"""Elementwise operators: arithmetic, comparisons, choices and casts.

ONNX has no implicit casts: operands take the type in which PyTorch computes.
"""

from __future__ import annotations

from typing import Any, Final

import torch

from m3compress.errors import ExportError
from m3compress.export.onnx.builder import element_type
from m3compress.export.onnx.context import Handler, LoweringContext
from m3compress.export.onnx.traced import TO_COPY, aten, common_dtype, numpy_dtype, tensor_of


def _unary(op: str) -> Handler:
    def handler(low: LoweringContext, node: Any) -> str:
        return low.builder.node(op, [low.name(node.args[0], tensor_of(node).dtype)])

    return handler


def _arithmetic(op: str) -> Handler:
    def handler(low: LoweringContext, node: Any) -> str:
        dtype = tensor_of(node).dtype
        if dtype is torch.bool:
            raise ExportError(f"{op} of booleans has no ONNX form")
        return low.builder.node(op, [low.name(operand, dtype) for operand in node.args[:2]])

    return handler


def _comparison(op: str) -> Handler:
    def handler(low: LoweringContext, node: Any) -> str:
        operands = node.args[:2]
        dtype = common_dtype(*operands)
        return low.builder.node(op, [low.name(operand, dtype) for operand in operands])

    return handler


def _not_equal(low: LoweringContext, node: Any) -> str:
    return low.builder.node("Not", [_comparison("Equal")(low, node)])


def _and(low: LoweringContext, node: Any) -> str:
    op = "And" if tensor_of(node).dtype is torch.bool else "BitwiseAnd"
    name: str = _comparison(op)(low, node)
    return name


def _remainder(low: LoweringContext, node: Any) -> str:
    if tensor_of(node).is_floating_point():
        raise ExportError("the remainder of floating-point numbers has no ONNX form of that sign")
    name: str = _arithmetic("Mod")(low, node)
    return name


def _alias(low: LoweringContext, node: Any) -> str:
    return low.name(node.args[0])


def _clamp(low: LoweringContext, node: Any) -> str:
    x, *bounds = node.args
    dtype = tensor_of(node).dtype
    names = ["" if b is None else low.name(b, dtype) for b in [*bounds, None, None][:2]]
    return low.builder.node("Clip", [low.name(x, dtype), *names])


def _where(low: LoweringContext, node: Any) -> str:
    condition, *choices = node.args
    dtype = tensor_of(node).dtype
    return low.builder.node("Where", [low.name(condition), *(low.name(c, dtype) for c in choices)])


def _to_copy(low: LoweringContext, node: Any) -> str:
    kind = element_type(numpy_dtype(tensor_of(node).dtype))
    return low.builder.node("Cast", [low.name(node.args[0])], to=kind)


HANDLERS: Final[dict[Any, Handler]] = {
    aten.mul.Tensor: _arithmetic("Mul"),
    aten.mul.Scalar: _arithmetic("Mul"),
    aten.div.Tensor: _arithmetic("Div"),
    aten.remainder.Scalar: _remainder,
    aten.le.Scalar: _comparison("LessOrEqual"),
    aten.ge.Scalar: _comparison("GreaterOrEqual"),
    aten.ne.Tensor: _not_equal,
    aten.bitwise_and.Tensor: _and,
    aten.neg.default: _unary("Neg"),
    aten.sqrt.default: _unary("Sqrt"),
    aten.sin.default: _unary("Sin"),
    aten.cos.default: _unary("Cos"),
    aten.reciprocal.default: _unary("Reciprocal"),
    aten.sigmoid.default: _unary("Sigmoid"),
    aten.detach.default: _alias,
    aten.clamp.default: _clamp,
    aten.where.self: _where,
    TO_COPY: _to_copy,
}
