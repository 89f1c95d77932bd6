"""One handler per traced operator: which ONNX nodes compute it.

Handlers see nodes as ``Any``: what PyTorch says of their arguments is a union of twenty types.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import fx

from m3compress.errors import ExportError
from m3compress.export.onnx.builder import element_type
from m3compress.export.onnx.traced import (
    TO_COPY,
    VIEWS,
    aten,
    numpy_dtype,
    product_chain,
    same_shape,
    tensor_of,
)

if TYPE_CHECKING:
    from m3compress.export.onnx.lowering import Lowering

Handler = Callable[["Lowering", Any], Any]

#: What PyTorch writes for an open end of a slice.
_END = 2**63 - 1


def _binary(op: str) -> Handler:
    def handler(low: Lowering, node: Any) -> str:
        a, b = node.args[:2]
        like = a if isinstance(a, fx.Node) else b
        return low.builder.node(op, [low.name(a, like), low.name(b, like)])

    return handler


def _not_equal(low: Lowering, node: Any) -> str:
    return low.builder.node("Not", [_binary("Equal")(low, node)])


def _unary(op: str) -> Handler:
    return lambda low, node: low.builder.node(op, [low.name(node.args[0])])


def _alias(low: Lowering, node: Any) -> str:
    return low.name(node.args[0])


def _add(low: Lowering, node: Any) -> str:
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
    total: str = _binary("Add")(low, node)
    return total


def _reverse_subtract(low: Lowering, node: Any) -> str:
    x, scalar = node.args[:2]
    return low.builder.node("Sub", [low.name(scalar, x), low.name(x)])


def _silu(low: Lowering, node: Any) -> str:
    x = low.name(node.args[0])
    s = low.builder.node("Sigmoid", [x])
    y = low.builder.node("Mul", [x, s])
    source = node.args[0]
    wanted = any(user.target is aten.silu_backward.default for user in source.users)
    if wanted and not source.meta.get("slope_later"):
        low.slopes[source] = _silu_slope(low, s, y)
    return y


def _silu_slope(low: Lowering, s: str, y: str) -> str:
    both = low.builder.node("Add", [s, y])
    return low.builder.node("Sub", [both, low.builder.node("Mul", [s, y])])


def _silu_backward(low: Lowering, node: Any) -> str:
    gradient, source = node.args[:2]
    if source not in low.slopes:
        x = low.name(source)
        s = low.builder.node("Sigmoid", [x])
        low.slopes[source] = _silu_slope(low, s, low.builder.node("Mul", [x, s]))
    return low.builder.node("Mul", [low.name(gradient), low.slopes[source]])


def _sigmoid_backward(low: Lowering, node: Any) -> str:
    """G · σ · (1 − σ); for g = u · w with w · σ at hand (a gated MLP), u · (w · σ) · (1 − σ)."""
    gradient, result = node.args[:2]
    rest = low.builder.node("Sub", [low.name(1.0, node), low.name(result)])
    if gradient.target is aten.mul.Tensor:
        for u, w in (gradient.args[:2], gradient.args[1::-1]):
            product = low.builder.existing("Mul", [low.name(w), low.name(result)])
            if product is not None:
                scaled = low.builder.node("Mul", [low.name(u), product])
                return low.builder.node("Mul", [scaled, rest])
    slope = low.builder.node("Mul", [low.name(result), rest])
    return low.builder.node("Mul", [low.name(gradient), slope])


def _matrix_product(low: Lowering, node: Any) -> str:
    return low.product(node)


def _add_matrix_product(low: Lowering, node: Any) -> str:
    bias, a, b = (low.name(argument) for argument in node.args[:3])
    return low.builder.node("Gemm", [a, b, bias])


def _view(low: Lowering, node: Any) -> str:
    return low.builder.node("Reshape", [low.name(node.args[0]), low.shape(node.args[1])])


def _expand(low: Lowering, node: Any) -> str:
    if same_shape(node, node.args[0]) or all(_broadcasts(user, node) for user in node.users):
        return low.name(node.args[0])
    sizes = [s if s != -1 else tensor_of(node.args[0]).shape[i] for i, s in enumerate(node.args[1])]
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


def _permute(low: Lowering, node: Any) -> str:
    rank = tensor_of(node).dim()
    order = list(range(rank))
    if node.target is aten.permute.default:
        order = [axis % rank for axis in node.args[1]]
    else:
        a, b = (node.args[1], node.args[2]) if len(node.args) == 3 else (0, 1)
        a, b = a % rank, b % rank
        order[a], order[b] = order[b], order[a]
    return low.builder.node("Transpose", [low.name(node.args[0])], perm=order)


def _sum(low: Lowering, node: Any) -> str:
    x = low.name(node.args[0])
    if node.target is aten.sum.default:
        return low.builder.node("ReduceSum", [x], keepdims=0)
    rank = tensor_of(node.args[0]).dim()
    axes = low.builder.constant([axis % rank for axis in node.args[1]], np.int64)
    keep = bool(node.args[2]) if len(node.args) > 2 else False
    return low.builder.node("ReduceSum", [x, axes], keepdims=int(keep))


def _axes(op: str) -> Handler:
    def handler(low: Lowering, node: Any) -> str:
        rank = tensor_of(node).dim() if op == "Unsqueeze" else tensor_of(node.args[0]).dim()
        axes = low.builder.constant([int(node.args[1]) % rank], np.int64)
        return low.builder.node(op, [low.name(node.args[0]), axes])

    return handler


def _select(low: Lowering, node: Any) -> str:
    x, axis, index = node.args
    position = low.builder.constant(index, np.int64)
    return low.builder.node("Gather", [low.name(x), position], axis=axis % tensor_of(x).dim())


def _slice(low: Lowering, node: Any) -> str:
    x, axis, start, stop = [*node.args, 0, 0, _END][:4]
    if (start or 0) == 0 and stop == _END:
        return low.name(x)
    bounds = [low.builder.constant([value], np.int64) for value in (start, stop, axis)]
    return low.builder.node("Slice", [low.name(x), *bounds])


def _index_select(low: Lowering, node: Any) -> str:
    x, axis, index = node.args
    return low.builder.node("Gather", [low.name(x), low.name(index)], axis=axis)


def _embedding(low: Lowering, node: Any) -> str:
    return low.builder.node("Gather", [low.name(a) for a in node.args[:2]], axis=0)


def _index(low: Lowering, node: Any) -> str:
    x, indices = node.args
    if len(indices) != 1:
        raise ExportError("only indexing by one tensor can be exported")
    return low.builder.node("Gather", [low.name(x), low.name(indices[0])], axis=0)


def _unbind(low: Lowering, node: Any) -> Any:
    x = node.args[0]
    axis = (node.args[1] if len(node.args) > 1 else 0) % tensor_of(x).dim()
    positions = [low.builder.constant(i, np.int64) for i in range(int(tensor_of(x).shape[axis]))]
    return tuple(low.builder.node("Gather", [low.name(x), i], axis=axis) for i in positions)


def _split(low: Lowering, node: Any) -> Any:
    """Equal pieces (split.Tensor) or given sizes (split_with_sizes); all sizes are known."""
    x, sizes = node.args[:2]
    axis = (node.args[2] if len(node.args) > 2 else 0) % tensor_of(x).dim()
    if isinstance(sizes, int):
        width = int(tensor_of(x).shape[axis])
        sizes = [min(sizes, width - start) for start in range(0, width, sizes)]
    return tuple(low.builder.split(low.name(x), sizes, axis))


def _get_item(low: Lowering, node: Any) -> Any:
    return low.values[node.args[0]][node.args[1]]


def _stack(low: Lowering, node: Any) -> str:
    rank = tensor_of(node).dim()
    axis = (node.args[1] if len(node.args) > 1 else 0) % rank
    axes = low.builder.constant([axis], np.int64)
    parts = [low.builder.node("Unsqueeze", [low.name(part), axes]) for part in node.args[0]]
    return low.builder.node("Concat", parts, axis=axis)


def _cat(low: Lowering, node: Any) -> str:
    axis = (node.args[1] if len(node.args) > 1 else 0) % tensor_of(node).dim()
    return low.builder.node("Concat", [low.name(part) for part in node.args[0]], axis=axis)


def _clamp(low: Lowering, node: Any) -> str:
    x = node.args[0]
    bounds = [*node.args[1:], None, None][:2]
    names = ["" if bound is None else low.name(float(bound), x) for bound in bounds]
    return low.builder.node("Clip", [low.name(x), *names])


def _filled_like(low: Lowering, node: Any) -> str:
    value = {aten.ones_like.default: 1.0, aten.zeros_like.default: 0.0}[node.target]
    shape = tensor_of(node).shape
    if all(isinstance(size, int) for size in shape):
        return low.builder.constant(np.full(tuple(shape), value, numpy_dtype(node)))
    sizes = low.builder.node("Shape", [low.name(node.args[0])])
    return low.builder.node("Expand", [low.name(value, node), sizes])


def _scalar_tensor(low: Lowering, node: Any) -> str:
    return low.name(node.args[0], node)


def _where(low: Lowering, node: Any) -> str:
    return low.builder.node("Where", [low.name(argument) for argument in node.args])


def _to_copy(low: Lowering, node: Any) -> str:
    return low.builder.node("Cast", [low.name(node.args[0])], to=element_type(numpy_dtype(node)))


def _arange(low: Lowering, node: Any) -> str:
    stop = low.builder.node("Squeeze", [low.size(node.args[0])])
    return low.builder.node("Range", [low.name(0), stop, low.name(1)])


def _symbolic_size(low: Lowering, node: Any) -> Any:
    """A size, or a product of sizes, in terms of the sizes of the inputs."""
    value = node.meta["val"]
    if isinstance(value, int):
        return value
    return low.symbol(value.node.expr)


HANDLERS: dict[Any, Handler] = {
    aten.add.Tensor: _add,
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
    aten.silu.default: _silu,
    aten.silu_backward.default: _silu_backward,
    aten.sigmoid_backward.default: _sigmoid_backward,
    aten.mm.default: _matrix_product,
    aten.bmm.default: _matrix_product,
    aten.addmm.default: _add_matrix_product,
    **dict.fromkeys(VIEWS, _view),
    aten.expand.default: _expand,
    aten.permute.default: _permute,
    aten.transpose.int: _permute,
    aten.t.default: _permute,
    aten.sum.default: _sum,
    aten.sum.dim_IntList: _sum,
    aten.squeeze.dim: _axes("Squeeze"),
    aten.unsqueeze.default: _axes("Unsqueeze"),
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
    aten.clamp.default: _clamp,
    aten.ones_like.default: _filled_like,
    aten.zeros_like.default: _filled_like,
    aten.scalar_tensor.default: _scalar_tensor,
    aten.where.self: _where,
    TO_COPY: _to_copy,
    aten.arange.default: _arange,
    aten.sym_size.int: _symbolic_size,
    operator.mul: _symbolic_size,
}
