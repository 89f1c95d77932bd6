"""Taking tensors apart and putting them together."""

from __future__ import annotations

import operator
from typing import Any, Final

import numpy as np
import torch

from m3compress.errors import ExportError
from m3compress.export.onnx.context import Handler, LoweringContext
from m3compress.export.onnx.traced import argument, aten, known_size, tensor_of

#: What PyTorch writes for an open end of a slice.
_END: Final = 2**63 - 1


def _select(low: LoweringContext, node: Any) -> str:
    x, axis, index = node.args
    position = low.name(index, torch.int64)
    return low.builder.node("Gather", [low.name(x), position], axis=axis % tensor_of(x).dim())


def _slice(low: LoweringContext, node: Any) -> str:
    x, axis, step = node.args[0], argument(node, 1, 0), argument(node, 4, 1)
    start, stop = argument(node, 2, None), argument(node, 3, None)
    start, stop = 0 if start is None else start, _END if stop is None else stop
    if (start, stop, step) == (0, _END, 1):
        return low.name(x)
    bounds = [low.size(value) for value in (start, stop, axis)]
    if step != 1:
        bounds.append(low.size(step))
    return low.builder.node("Slice", [low.name(x), *bounds])


def _index_select(low: LoweringContext, node: Any) -> str:
    x, axis, index = node.args
    return low.builder.node("Gather", [low.name(x), low.name(index)], axis=axis)


def _embedding(low: LoweringContext, node: Any) -> str:
    return low.builder.node("Gather", [low.name(a) for a in node.args[:2]], axis=0)


def _index(low: LoweringContext, node: Any) -> str:
    x, indices = node.args
    if len(indices) != 1 or tensor_of(indices[0]).dtype is not torch.int64:
        raise ExportError("only indexing by one tensor of integers can be exported")
    return low.builder.node("Gather", [low.name(x), low.name(indices[0])], axis=0)


def _unbind(low: LoweringContext, node: Any) -> Any:
    x = node.args[0]
    axis = argument(node, 1, 0) % tensor_of(x).dim()
    # One pass over x; as many Gathers would be as many.
    parts = low.builder.split(low.name(x), [1] * _known_width(x, axis), axis)
    axes = low.builder.constant([axis], np.int64)
    return tuple(low.builder.node("Squeeze", [part, axes]) for part in parts)


def _split(low: LoweringContext, node: Any) -> Any:
    """Equal pieces (split.Tensor) or given sizes (split_with_sizes); all sizes are known."""
    x, sizes = node.args[:2]
    axis = argument(node, 2, 0) % tensor_of(x).dim()
    if isinstance(sizes, int):
        width = _known_width(x, axis)
        sizes = [min(sizes, width - start) for start in range(0, width, sizes)]
    elif not all(isinstance(size, int) for size in sizes):
        raise ExportError("only parts of known sizes can be split off")
    return tuple(low.builder.split(low.name(x), sizes, axis))


def _known_width(x: Any, axis: int) -> int:
    width = known_size(tensor_of(x).shape[axis])
    if width is None:
        raise ExportError(f"axis {axis} is taken apart, and its size depends on the input")
    return width


def _get_item(low: LoweringContext, node: Any) -> Any:
    return low.values[node.args[0]][node.args[1]]


def _stack(low: LoweringContext, node: Any) -> str:
    rank = tensor_of(node).dim()
    axis = argument(node, 1, 0) % rank
    dtype = tensor_of(node).dtype
    axes = low.builder.constant([axis], np.int64)
    parts = [low.builder.node("Unsqueeze", [low.name(part, dtype), axes]) for part in node.args[0]]
    return low.builder.node("Concat", parts, axis=axis)


def _cat(low: LoweringContext, node: Any) -> str:
    axis = argument(node, 1, 0) % tensor_of(node).dim()
    dtype = tensor_of(node).dtype
    return low.builder.node("Concat", [low.name(part, dtype) for part in node.args[0]], axis=axis)


HANDLERS: Final[dict[Any, Handler]] = {
    aten.select.int: _select,
    aten.slice.Tensor: _slice,
    aten.index_select.default: _index_select,
    aten.embedding.default: _embedding,
    aten.index.Tensor: _index,
    aten.unbind.int: _unbind,
    aten.split.Tensor: _split,
    aten.split_with_sizes.default: _split,
    operator.getitem: _get_item,
    aten.stack.default: _stack,
    aten.cat.default: _cat,
}
