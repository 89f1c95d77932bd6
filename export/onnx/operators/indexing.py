"""Taking tensors apart and putting them together."""

from __future__ import annotations

import operator
from typing import Any, Final

import numpy as np

from m3compress.errors import ExportError
from m3compress.export.onnx.context import Handler, LoweringContext
from m3compress.export.onnx.traced import aten, tensor_of

#: What PyTorch writes for an open end of a slice.
_END: Final = 2**63 - 1


def _select(low: LoweringContext, node: Any) -> str:
    x, axis, index = node.args
    position = low.builder.constant(index, np.int64)
    return low.builder.node("Gather", [low.name(x), position], axis=axis % tensor_of(x).dim())


def _slice(low: LoweringContext, node: Any) -> str:
    x, axis, start, stop = [*node.args, 0, 0, _END][:4]
    if (start or 0) == 0 and stop == _END:
        return low.name(x)
    bounds = [low.builder.constant([value], np.int64) for value in (start, stop, axis)]
    return low.builder.node("Slice", [low.name(x), *bounds])


def _index_select(low: LoweringContext, node: Any) -> str:
    x, axis, index = node.args
    return low.builder.node("Gather", [low.name(x), low.name(index)], axis=axis)


def _embedding(low: LoweringContext, node: Any) -> str:
    return low.builder.node("Gather", [low.name(a) for a in node.args[:2]], axis=0)


def _index(low: LoweringContext, node: Any) -> str:
    x, indices = node.args
    if len(indices) != 1:
        raise ExportError("only indexing by one tensor can be exported")
    return low.builder.node("Gather", [low.name(x), low.name(indices[0])], axis=0)


def _unbind(low: LoweringContext, node: Any) -> Any:
    x = node.args[0]
    axis = (node.args[1] if len(node.args) > 1 else 0) % tensor_of(x).dim()
    positions = [low.builder.constant(i, np.int64) for i in range(int(tensor_of(x).shape[axis]))]
    return tuple(low.builder.node("Gather", [low.name(x), i], axis=axis) for i in positions)


def _split(low: LoweringContext, node: Any) -> Any:
    """Equal pieces (split.Tensor) or given sizes (split_with_sizes); all sizes are known."""
    x, sizes = node.args[:2]
    axis = (node.args[2] if len(node.args) > 2 else 0) % tensor_of(x).dim()
    if isinstance(sizes, int):
        width = int(tensor_of(x).shape[axis])
        sizes = [min(sizes, width - start) for start in range(0, width, sizes)]
    return tuple(low.builder.split(low.name(x), sizes, axis))


def _get_item(low: LoweringContext, node: Any) -> Any:
    return low.values[node.args[0]][node.args[1]]


def _stack(low: LoweringContext, node: Any) -> str:
    rank = tensor_of(node).dim()
    axis = (node.args[1] if len(node.args) > 1 else 0) % rank
    axes = low.builder.constant([axis], np.int64)
    parts = [low.builder.node("Unsqueeze", [low.name(part), axes]) for part in node.args[0]]
    return low.builder.node("Concat", parts, axis=axis)


def _cat(low: LoweringContext, node: Any) -> str:
    axis = (node.args[1] if len(node.args) > 1 else 0) % tensor_of(node).dim()
    return low.builder.node("Concat", [low.name(part) for part in node.args[0]], axis=axis)


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
