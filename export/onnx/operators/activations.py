"""Activations and their gradients, arranged so that little has to live until the backward pass."""

from __future__ import annotations

from typing import Any, Final

from m3compress.export.onnx.context import Handler, LoweringContext
from m3compress.export.onnx.traced import aten, tensor_of


def _silu(low: LoweringContext, node: Any) -> str:
    source = node.args[0]
    s, y = _sigmoid_and_silu(low, source)
    wanted = any(user.target is aten.silu_backward.default for user in source.users)
    # At once where it can be: x and s need not live on for it.
    if wanted and (node.meta.get("again") or not source.meta.get("slope_later")):
        low.slopes[source] = _silu_slope(low, source, s, y)
    return y


def _sigmoid_and_silu(low: LoweringContext, source: Any) -> tuple[str, str]:
    s = low.builder.node("Sigmoid", [low.name(source)])
    return s, low.builder.node("Mul", [low.name(source), s])


def _silu_slope(low: LoweringContext, source: Any, s: str, y: str) -> str:
    """The slope s · (1 + x − y), every step of which can overwrite what it reads."""
    difference = low.builder.node("Sub", [low.name(source), y])
    factor = low.builder.node("Add", [difference, low.name(1.0, tensor_of(source).dtype)])
    return low.builder.node("Mul", [factor, s])


def _silu_backward(low: LoweringContext, node: Any) -> str:
    gradient, source = node.args[:2]
    if source not in low.slopes:
        low.slopes[source] = _silu_slope(low, source, *_sigmoid_and_silu(low, source))
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
