"""Tensors made from a number or a size."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch

from m3compress.errors import ExportError
from m3compress.export.onnx.builder import element_type
from m3compress.export.onnx.context import Handler, LoweringContext
from m3compress.export.onnx.traced import aten, numpy_dtype, tensor_of


def _filled_like(low: LoweringContext, node: Any) -> str:
    value = {aten.ones_like.default: 1.0, aten.zeros_like.default: 0.0}[node.target]
    shape = tensor_of(node).shape
    if all(isinstance(size, int) for size in shape):
        return low.builder.constant(
            np.full(tuple(shape), value, numpy_dtype(tensor_of(node).dtype))
        )
    sizes = low.builder.node("Shape", [low.name(node.args[0])])
    return low.builder.node("Expand", [low.name(value, tensor_of(node).dtype), sizes])


def _scalar_tensor(low: LoweringContext, node: Any) -> str:
    return low.name(node.args[0], tensor_of(node).dtype)


def _arange(low: LoweringContext, node: Any) -> str:
    if isinstance(node.args[0], float):
        raise ExportError("a range that ends at a floating-point number has no ONNX form")
    stop = low.builder.node("Squeeze", [low.size(node.args[0])])
    numbers = low.builder.node("Range", [low.name(0), stop, low.name(1)])
    dtype = tensor_of(node).dtype
    if dtype is torch.int64:
        return numbers
    return low.builder.node("Cast", [numbers], to=element_type(numpy_dtype(dtype)))


HANDLERS: Final[dict[Any, Handler]] = {
    aten.ones_like.default: _filled_like,
    aten.zeros_like.default: _filled_like,
    aten.scalar_tensor.default: _scalar_tensor,
    aten.arange.default: _arange,
}
