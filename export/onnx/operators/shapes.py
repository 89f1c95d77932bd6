"""Other shapes of the same values, and sizes."""

from __future__ import annotations

import operator
from typing import Any, Final

import numpy as np
from torch import fx

from m3compress.export.onnx.context import Handler, LoweringContext
from m3compress.export.onnx.traced import VIEWS, argument, aten, same_shape, tensor_of


def _view(low: LoweringContext, node: Any) -> str:
    return low.builder.node("Reshape", [low.name(node.args[0]), low.shape(node.args[1])])


def _expand(low: LoweringContext, node: Any) -> str:
    if same_shape(node, node.args[0]) or all(_broadcasts(user, node) for user in node.users):
        return low.name(node.args[0])
    # −1 keeps a size, as 1 does in ONNX.
    sizes = [1 if isinstance(size, int) and size == -1 else size for size in node.args[1]]
    return low.builder.node("Expand", [low.name(node.args[0]), low.shape(sizes)])


def _broadcasts(user: fx.Node, node: Any) -> bool:
    """Whether ``user`` is elementwise and its other operand already has the full shape."""
    if user.target not in {aten.mul.Tensor, aten.div.Tensor, aten.sub.Tensor}:
        return False
    other = user.args[1] if user.args[0] is node else user.args[0]
    return (
        isinstance(other, fx.Node)
        and other is not node
        and other.target is not aten.expand.default
        and same_shape(other, node)
    )


def _permute(low: LoweringContext, node: Any) -> str:
    rank = tensor_of(node).dim()
    order = list(range(rank))
    if node.target is aten.permute.default:
        order = [axis % rank for axis in node.args[1]]
    else:
        a, b = argument(node, 1, 0) % rank, argument(node, 2, 1) % rank
        order[a], order[b] = order[b], order[a]
    return low.builder.node("Transpose", [low.name(node.args[0])], perm=order)


def _axes(op: str) -> Handler:
    def handler(low: LoweringContext, node: Any) -> str:
        before, after = tensor_of(node.args[0]).dim(), tensor_of(node).dim()
        if before == after:  # PyTorch squeezes axes of size one alone
            return low.name(node.args[0])
        rank = max(before, after)
        axes = low.builder.constant([int(node.args[1]) % rank], np.int64)
        return low.builder.node(op, [low.name(node.args[0]), axes])

    return handler


def _symbolic_size(low: LoweringContext, node: Any) -> Any:
    """A size, or a product of sizes, in terms of the sizes of the inputs."""
    value = node.meta["val"]
    if isinstance(value, int):
        return value
    return low.symbol(value.node.expr)


HANDLERS: Final[dict[Any, Handler]] = {
    **dict.fromkeys(VIEWS, _view),
    aten.expand.default: _expand,
    aten.permute.default: _permute,
    aten.transpose.int: _permute,
    aten.t.default: _permute,
    aten.squeeze.dim: _axes("Squeeze"),
    aten.unsqueeze.default: _axes("Unsqueeze"),
    aten.sym_size.int: _symbolic_size,
    operator.mul: _symbolic_size,
}
