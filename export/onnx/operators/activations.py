"""Activations and their gradients, arranged so that little has to live until the backward pass."""

from __future__ import annotations

from typing import Any, Final

from m3compress.export.onnx.context import Handler, LoweringContext
from m3compress.export.onnx.traced import aten, tensor_of


def _silu(low: LoweringContext, node: Any) -> str:
    x = low.name(node.args[0])
    s = low.builder.node("Sigmoid", [x])
    y = low.builder.node("Mul", [x, s])
    source = node.args[0]
    wanted = any(user.target is aten.silu_backward.default for user in source.users)
    if wanted and not source.meta.get("slope_later"):
        low.slopes[source] = _silu_slope(low, s, y)
    return y


def _silu_slope(low: LoweringContext, s: str, y: str) -> str:
    both = low.builder.node("Add", [s, y])
    return low.builder.node("Sub", [both, low.builder.node("Mul", [s, y])])


def _silu_backward(low: LoweringContext, node: Any) -> str:
    gradient, source = node.args[:2]
    if source not in low.slopes:
        x = low.name(source)
        s = low.builder.node("Sigmoid", [x])
        low.slopes[source] = _silu_slope(low, s, low.builder.node("Mul", [x, s]))
    return low.builder.node("Mul", [low.name(gradient), low.slopes[source]])


def _sigmoid_backward(low: LoweringContext, node: Any) -> str:
    """G · σ · (1 − σ); for g = u · w with w · σ at hand (a gated MLP), u · (w · σ) · (1 − σ)."""
    gradient, result = node.args[:2]
    dtype = tensor_of(node).dtype
    rest = low.builder.node("Sub", [low.name(1.0, dtype), low.name(result)])
    if gradient.target is aten.mul.Tensor:
        for u, w in (gradient.args[:2], gradient.args[1::-1]):
            product = low.builder.existing("Mul", [low.name(w, dtype), low.name(result)])
            if product is not None:
                scaled = low.builder.node("Mul", [low.name(u, dtype), product])
                return low.builder.node("Mul", [scaled, rest])
    slope = low.builder.node("Mul", [low.name(result), rest])
    return low.builder.node("Mul", [low.name(gradient), slope])


HANDLERS: Final[dict[Any, Handler]] = {
    aten.silu.default: _silu,
    aten.silu_backward.default: _silu_backward,
    aten.sigmoid_backward.default: _sigmoid_backward,
}
