"""Elementwise operators: arithmetic, comparisons, choices and casts."""

from __future__ import annotations

from typing import Any, Final

from torch import fx

from m3compress.export.onnx.builder import element_type
from m3compress.export.onnx.context import Handler, LoweringContext
from m3compress.export.onnx.traced import TO_COPY, aten, numpy_dtype


def _binary(op: str) -> Handler:
    def handler(low: LoweringContext, node: Any) -> str:
        a, b = node.args[:2]
        like = a if isinstance(a, fx.Node) else b
        return low.builder.node(op, [low.name(a, like), low.name(b, like)])

    return handler


def _not_equal(low: LoweringContext, node: Any) -> str:
    return low.builder.node("Not", [_binary("Equal")(low, node)])


def _unary(op: str) -> Handler:
    return lambda low, node: low.builder.node(op, [low.name(node.args[0])])


def _alias(low: LoweringContext, node: Any) -> str:
    return low.name(node.args[0])


def _reverse_subtract(low: LoweringContext, node: Any) -> str:
    x, scalar = node.args[:2]
    return low.builder.node("Sub", [low.name(scalar, x), low.name(x)])


def _clamp(low: LoweringContext, node: Any) -> str:
    x = node.args[0]
    bounds = [*node.args[1:], None, None][:2]
    names = ["" if bound is None else low.name(float(bound), x) for bound in bounds]
    return low.builder.node("Clip", [low.name(x), *names])


def _where(low: LoweringContext, node: Any) -> str:
    return low.builder.node("Where", [low.name(argument) for argument in node.args])


def _to_copy(low: LoweringContext, node: Any) -> str:
    return low.builder.node("Cast", [low.name(node.args[0])], to=element_type(numpy_dtype(node)))


HANDLERS: Final[dict[Any, Handler]] = {
    aten.sub.Tensor: _binary("Sub"),
    aten.mul.Tensor: _binary("Mul"),
    aten.mul.Scalar: _binary("Mul"),
    aten.div.Tensor: _binary("Div"),
    aten.remainder.Scalar: _binary("Mod"),
    aten.rsub.Scalar: _reverse_subtract,
    aten.le.Scalar: _binary("LessOrEqual"),
    aten.ge.Scalar: _binary("GreaterOrEqual"),
    aten.ne.Tensor: _not_equal,
    aten.bitwise_and.Tensor: _binary("And"),
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
