"""From traced PyTorch operators to ONNX nodes.

The general exporter of PyTorch works on these graphs too, but takes a minute, keeps two tensors of
every SiLU for the backward pass where one is enough, and leaves sums of matrix products unfused;
those decide speed and memory of an MD step. The operators that occur are few, so they are lowered
here,
with three local rules:

* ``silu(x)`` whose gradient is needed also computes its slope s + y − s·y at once (s = σ(x), y =
x·s); only
  the slope lives until the backward pass.
* ``mm(a, b) + c`` becomes one ``Gemm``.
* an ``expand`` that only feeds broadcasting operators disappears.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from torch import fx

from m3compress.errors import ExportError
from m3compress.export.onnx_builder import OnnxBuilder, element_type
from m3compress.export.recompute import recompute_cheap_values

aten = torch.ops.aten

_NUMPY_DTYPES: dict[torch.dtype, type[np.generic]] = {
    torch.float16: np.float16,
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.int64: np.int64,
    torch.bool: np.bool_,
}

#: What PyTorch writes for an open end of a slice.
_END = 2**63 - 1

Shape = tuple[str | int, ...]
Handler = Callable[["Lowering", fx.Node], str]


def lower(
    module: fx.GraphModule,
    input_shapes: dict[str, Shape],
    output_shapes: dict[str, Shape],
) -> onnx.ModelProto:
    """Lower a traced function to an ONNX model.

    Args:
        module: Traced by ``make_fx``, without decompositions.
        input_shapes: Name → shape of every input in order; strings are dynamic dimensions.
        output_shapes: The same for the outputs.

    Raises:
        ExportError: If the trace holds an operator that has no ONNX form here.
    """
    return Lowering(module, input_shapes).run(output_shapes)


class Lowering:
    """The state of one lowering: where every traced value lives in the ONNX graph.

    A traced value is a name of the graph, a constant tensor (weights and what is computed from
    weights alone is evaluated now), or a size (an int, or the name of a one-element int64 tensor).
    """

    def __init__(self, module: fx.GraphModule, input_shapes: dict[str, Shape]) -> None:
        self.module = module
        self.builder = OnnxBuilder()
        self.values: dict[fx.Node, Any] = {}
        self.slopes: dict[fx.Node, str] = {}
        self.sizes: dict[str, tuple[str, int]] = {}
        self.input_shapes = input_shapes
        self.inputs: list[tuple[str, type[np.generic], Shape]] = []
        module.graph.eliminate_dead_code()
        energies = module.graph.output_node().args[0][0]  # type: ignore[index]
        self.first_backward = recompute_cheap_values(module.graph, energies)
        self.fused = _fusible_products(module.graph)

    def run(self, output_shapes: dict[str, Shape]) -> onnx.ModelProto:
        """Lower all nodes and assemble the model."""
        names = iter(self.input_shapes.items())
        results: Sequence[fx.Node] = ()
        for node in self.module.graph.nodes:
            if node is self.first_backward:
                # From here on equal nodes are meant: they are recomputed to free memory.
                self.builder.forget()
            if node.op == "placeholder":
                name, shape = next(names)
                self.values[node] = name
                self.inputs.append((name, _numpy_dtype(node), shape))
                for axis, size in enumerate(_tensor(node).shape):
                    # Sizes are read off the inputs, so that no intermediate value lives on for its
                    # shape.
                    self.sizes.setdefault(str(size), (name, axis))
            elif node.op == "get_attr":
                self.values[node] = _attribute(self.module, str(node.target))
            elif node.op == "call_function":
                self.values[node] = self._call(node)
            else:
                results = node.args[0]
        outputs = [
            (name, self.name(result), _numpy_dtype(result), shape)
            for (name, shape), result in zip(output_shapes.items(), results, strict=True)
        ]
        return self.builder.finish(self.inputs, outputs)

    def _call(self, node: fx.Node) -> Any:
        if node in self.fused:
            return None
        arguments = node.all_input_nodes
        known = all(isinstance(self.values[a], torch.Tensor | int | tuple) for a in arguments)
        if arguments and known and node.target is not aten.silu.default:
            return node.target(*self._eager(node.args), **self._eager(node.kwargs))  # type: ignore[operator]
        handler = _HANDLERS.get(node.target)
        if handler is None:
            raise ExportError(
                f"the traced operator {node.target} has no ONNX form here",
                hint=f"torch {torch.__version__} traces the model differently; report this version",
            )
        return handler(self, node)

    def _eager(self, arguments: Any) -> Any:
        return fx.node.map_arg(arguments, lambda node: self.values[node])

    # ---- what handlers ask for -------------------------------------------------------------------

    def name(self, argument: Any, like: fx.Node | None = None) -> str:
        """Graph name of a traced value or number; numbers take the dtype of ``like``."""
        value = self.values[argument] if isinstance(argument, fx.Node) else argument
        if isinstance(value, str):
            return value
        if isinstance(value, torch.Tensor):
            return self.builder.constant(value.detach().cpu().numpy())
        if like is None:
            return self.builder.constant(value)
        return self.builder.constant(value, _numpy_dtype(like))

    def size(self, argument: Any) -> str:
        """Name of a one-element int64 tensor that holds a size."""
        value = self.values[argument] if isinstance(argument, fx.Node) else argument
        return value if isinstance(value, str) else self.builder.constant([value], np.int64)

    def shape(self, sizes: Sequence[Any]) -> str:
        """Name of a shape for Reshape or Expand; one unknown size is left to be inferred."""
        values = [self.values[s] if isinstance(s, fx.Node) else s for s in sizes]
        if all(isinstance(v, int) for v in values):
            return self.builder.constant(values, np.int64)
        return self.builder.node("Concat", [self.size(v) for v in values], axis=0)

    def symbol(self, expression: Any) -> str:
        """Name of a one-element int64 tensor that holds a product of input sizes."""
        if expression.is_Integer:
            return self.builder.constant([int(expression)], np.int64)
        if expression.is_Mul:
            factors = [self.symbol(factor) for factor in expression.args]
            return functools.reduce(lambda a, b: self.builder.node("Mul", [a, b]), factors)
        if str(expression) not in self.sizes:
            raise ExportError(f"the size {expression} of a traced value is not a size of an input")
        name, axis = self.sizes[str(expression)]
        shape = self.builder.node("Shape", [name])
        return self.builder.node("Gather", [shape, self.builder.constant([axis], np.int64)], axis=0)

    def product(self, node: fx.Node, addend: str | None = None) -> str:
        """A matrix product of 2-D values, with an addend of the same shape."""
        a, b = (self.name(argument) for argument in node.args[:2])
        if addend is None:
            return self.builder.node("MatMul", [a, b])
        return self.builder.node("Gemm", [a, b, addend])


def _fusible_products(graph: fx.Graph) -> set[fx.Node]:
    """Nodes mm (→ view) whose only use is an addition of a value of the same shape."""
    fused: set[fx.Node] = set()
    for node in graph.nodes:
        if node.target is not aten.add.Tensor or node.kwargs:
            continue
        for argument, other in (node.args[:2], node.args[1::-1]):
            chain = _product_chain(argument)
            if chain and isinstance(other, fx.Node) and _same_shape(argument, other):
                if other in fused:
                    continue
                fused.update(chain)
                break
    return fused


def _product_chain(node: Any) -> tuple[fx.Node, ...]:
    """(mm, view) or (mm,) that ends in ``node`` and is used nowhere else, else ()."""
    if not isinstance(node, fx.Node) or len(node.users) != 1:
        return ()
    if node.target is aten.mm.default:
        return (node,)
    source = node.args[0] if node.target in _VIEWS else None
    if isinstance(source, fx.Node) and source.target is aten.mm.default and len(source.users) == 1:
        return (source, node)
    return ()


def _same_shape(a: fx.Node, b: fx.Node) -> bool:
    return str(tuple(_tensor(a).shape)) == str(tuple(_tensor(b).shape))


def _tensor(node: fx.Node) -> torch.Tensor:
    value: torch.Tensor = node.meta["val"]
    return value


def _numpy_dtype(node: fx.Node) -> type[np.generic]:
    return _NUMPY_DTYPES[_tensor(node).dtype]


def _attribute(module: fx.GraphModule, path: str) -> torch.Tensor:
    value: Any = module
    for part in path.split("."):
        value = getattr(value, part)
    tensor: torch.Tensor = value.detach()
    return tensor


# ---- handlers
# -------------------------------------------------------------------------------------


def _binary(op: str) -> Handler:
    def handler(low: Lowering, node: fx.Node) -> str:
        a, b = node.args[:2]
        like = a if isinstance(a, fx.Node) and isinstance(low.values[a], str | torch.Tensor) else b
        if isinstance(_tensor(node), torch.Tensor) and op != "Mod":
            like = like if isinstance(like, fx.Node) else node
        return low.builder.node(op, [low.name(a, like), low.name(b, like)])

    return handler


def _unary(op: str) -> Handler:
    return lambda low, node: low.builder.node(op, [low.name(node.args[0])])


def _alias(low: Lowering, node: fx.Node) -> str:
    return low.name(node.args[0])


def _add(low: Lowering, node: fx.Node) -> str:
    a, b = node.args[:2]
    for argument, other in ((a, b), (b, a)):
        if argument in low.fused:
            chain = _product_chain(argument)
            mm = chain[0] if chain else argument
            addend = low.name(other)
            if len(chain) == 1:
                return low.product(mm, addend)
            rows = low.shape([-1, _tensor(mm).shape[-1]])
            summed = low.product(mm, low.builder.node("Reshape", [addend, rows]))
            return low.builder.node("Reshape", [summed, low.shape(argument.args[1])])
    return _binary("Add")(low, node)


def _reverse_subtract(low: Lowering, node: fx.Node) -> str:
    x, scalar = node.args[:2]
    return low.builder.node("Sub", [low.name(scalar, x), low.name(x)])


def _silu(low: Lowering, node: fx.Node) -> str:
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


def _silu_backward(low: Lowering, node: fx.Node) -> str:
    gradient, source = node.args[:2]
    if source not in low.slopes:
        x = low.name(source)
        s = low.builder.node("Sigmoid", [x])
        low.slopes[source] = _silu_slope(low, s, low.builder.node("Mul", [x, s]))
    return low.builder.node("Mul", [low.name(gradient), low.slopes[source]])


def _sigmoid_backward(low: Lowering, node: fx.Node) -> str:
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


def _matrix_product(low: Lowering, node: fx.Node) -> str:
    return low.product(node)


def _add_matrix_product(low: Lowering, node: fx.Node) -> str:
    bias, a, b = (low.name(argument) for argument in node.args[:3])
    return low.builder.node("Gemm", [a, b, bias])


def _view(low: Lowering, node: fx.Node) -> str:
    return low.builder.node("Reshape", [low.name(node.args[0]), low.shape(node.args[1])])


def _expand(low: Lowering, node: fx.Node) -> str:
    if _same_shape(node, node.args[0]) or all(_broadcasts(user, node) for user in node.users):
        return low.name(node.args[0])
    sizes = [s if s != -1 else _tensor(node.args[0]).shape[i] for i, s in enumerate(node.args[1])]
    return low.builder.node("Expand", [low.name(node.args[0]), low.shape(sizes)])


def _broadcasts(user: fx.Node, node: fx.Node) -> bool:
    """Whether ``user`` is elementwise and its other operand already has the full shape."""
    if user.target not in {aten.mul.Tensor, aten.div.Tensor, aten.sub.Tensor}:
        return False
    other = user.args[1] if user.args[0] is node else user.args[0]
    return (
        isinstance(other, fx.Node)
        and other is not node
        and other.target is not aten.expand.default
        and _same_shape(other, node)
    )


def _permute(low: Lowering, node: fx.Node) -> str:
    rank = _tensor(node).dim()
    order = list(range(rank))
    if node.target is aten.permute.default:
        order = [axis % rank for axis in node.args[1]]
    else:
        a, b = (node.args[1], node.args[2]) if len(node.args) == 3 else (0, 1)
        a, b = a % rank, b % rank
        order[a], order[b] = order[b], order[a]
    return low.builder.node("Transpose", [low.name(node.args[0])], perm=order)


def _sum(low: Lowering, node: fx.Node) -> str:
    x = low.name(node.args[0])
    if node.target is aten.sum.default:
        return low.builder.node("ReduceSum", [x], keepdims=0)
    rank = _tensor(node.args[0]).dim()
    axes = low.builder.constant([axis % rank for axis in node.args[1]], np.int64)
    keep = bool(node.args[2]) if len(node.args) > 2 else False
    return low.builder.node("ReduceSum", [x, axes], keepdims=int(keep))


def _axes(op: str) -> Handler:
    def handler(low: Lowering, node: fx.Node) -> str:
        rank = _tensor(node).dim() if op == "Unsqueeze" else _tensor(node.args[0]).dim()
        axes = low.builder.constant([int(node.args[1]) % rank], np.int64)
        return low.builder.node(op, [low.name(node.args[0]), axes])

    return handler


def _select(low: Lowering, node: fx.Node) -> str:
    x, axis, index = node.args
    position = low.builder.constant(index, np.int64)
    return low.builder.node("Gather", [low.name(x), position], axis=axis % _tensor(x).dim())


def _slice(low: Lowering, node: fx.Node) -> str:
    x, axis, start, stop = [*node.args, 0, 0, _END][:4]
    if (start or 0) == 0 and stop == _END:
        return low.name(x)
    bounds = [low.builder.constant([value], np.int64) for value in (start, stop, axis)]
    return low.builder.node("Slice", [low.name(x), *bounds])


def _index_select(low: Lowering, node: fx.Node) -> str:
    x, axis, index = node.args
    return low.builder.node("Gather", [low.name(x), low.name(index)], axis=axis)


def _embedding(low: Lowering, node: fx.Node) -> str:
    return low.builder.node("Gather", [low.name(a) for a in node.args[:2]], axis=0)


def _index(low: Lowering, node: fx.Node) -> str:
    x, indices = node.args
    if len(indices) != 1:
        raise ExportError("only indexing by one tensor can be exported")
    return low.builder.node("Gather", [low.name(x), low.name(indices[0])], axis=0)


def _unbind(low: Lowering, node: fx.Node) -> Any:
    x = node.args[0]
    axis = (node.args[1] if len(node.args) > 1 else 0) % _tensor(x).dim()
    positions = [low.builder.constant(i, np.int64) for i in range(int(_tensor(x).shape[axis]))]
    return tuple(low.builder.node("Gather", [low.name(x), i], axis=axis) for i in positions)


def _split(low: Lowering, node: fx.Node) -> Any:
    """Equal pieces (split.Tensor) or given sizes (split_with_sizes); all sizes are known."""
    x, sizes = node.args[:2]
    axis = (node.args[2] if len(node.args) > 2 else 0) % _tensor(x).dim()
    if isinstance(sizes, int):
        width = int(_tensor(x).shape[axis])
        sizes = [min(sizes, width - start) for start in range(0, width, sizes)]
    return tuple(low.builder.split(low.name(x), sizes, axis))


def _get_item(low: Lowering, node: fx.Node) -> Any:
    return low.values[node.args[0]][node.args[1]]


def _stack(low: Lowering, node: fx.Node) -> str:
    rank = _tensor(node).dim()
    axis = (node.args[1] if len(node.args) > 1 else 0) % rank
    axes = low.builder.constant([axis], np.int64)
    parts = [low.builder.node("Unsqueeze", [low.name(part), axes]) for part in node.args[0]]
    return low.builder.node("Concat", parts, axis=axis)


def _cat(low: Lowering, node: fx.Node) -> str:
    axis = (node.args[1] if len(node.args) > 1 else 0) % _tensor(node).dim()
    return low.builder.node("Concat", [low.name(part) for part in node.args[0]], axis=axis)


def _clamp(low: Lowering, node: fx.Node) -> str:
    x = node.args[0]
    bounds = [*node.args[1:], None, None][:2]
    names = ["" if bound is None else low.name(float(bound), x) for bound in bounds]
    return low.builder.node("Clip", [low.name(x), *names])


def _filled_like(low: Lowering, node: fx.Node) -> str:
    value = {aten.ones_like.default: 1.0, aten.zeros_like.default: 0.0}[node.target]
    shape = _tensor(node).shape
    if all(isinstance(size, int) for size in shape):
        return low.builder.constant(np.full(tuple(shape), value, _numpy_dtype(node)))
    sizes = low.builder.node("Shape", [low.name(node.args[0])])
    return low.builder.node("Expand", [low.name(value, node), sizes])


def _scalar_tensor(low: Lowering, node: fx.Node) -> str:
    return low.name(node.args[0], node)


def _where(low: Lowering, node: fx.Node) -> str:
    return low.builder.node("Where", [low.name(argument) for argument in node.args])


def _to_copy(low: Lowering, node: fx.Node) -> str:
    return low.builder.node("Cast", [low.name(node.args[0])], to=element_type(_numpy_dtype(node)))


def _arange(low: Lowering, node: fx.Node) -> str:
    stop = low.builder.node("Squeeze", [low.size(node.args[0])])
    return low.builder.node("Range", [low.name(0), stop, low.name(1)])


def _symbolic_size(low: Lowering, node: fx.Node) -> Any:
    """A size, or a product of sizes, in terms of the sizes of the inputs."""
    value = node.meta["val"]
    if isinstance(value, int):
        return value
    return low.symbol(value.node.expr)


_UNSAFE_VIEW = aten._unsafe_view.default  # noqa: SLF001 - an operator of PyTorch
_TO_COPY = aten._to_copy.default  # noqa: SLF001 - an operator of PyTorch
_VIEWS = {aten.view.default, _UNSAFE_VIEW, aten.reshape.default}

_HANDLERS: dict[Any, Handler] = {
    aten.add.Tensor: _add,
    aten.sub.Tensor: _binary("Sub"),
    aten.mul.Tensor: _binary("Mul"),
    aten.mul.Scalar: _binary("Mul"),
    aten.div.Tensor: _binary("Div"),
    aten.remainder.Scalar: _binary("Mod"),
    aten.rsub.Scalar: _reverse_subtract,
    aten.le.Scalar: _binary("LessOrEqual"),
    aten.ge.Scalar: _binary("GreaterOrEqual"),
    aten.ne.Tensor: lambda low, node: low.builder.node("Not", [_binary("Equal")(low, node)]),
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
    **dict.fromkeys(_VIEWS, _view),
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
    _TO_COPY: _to_copy,
    aten.arange.default: _arange,
    aten.sym_size.int: _symbolic_size,
    operator.mul: _symbolic_size,
}
