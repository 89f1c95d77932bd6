"""From traced PyTorch operators to ONNX nodes.

The general exporter of PyTorch works on these graphs too, but takes a minute, keeps two tensors of
every SiLU for the backward pass where one is enough, and leaves sums of matrix products unfused;
those decide speed and memory of an MD step. The operators that occur are few
(:mod:`m3compress.export.onnx.operators`), so they are lowered here, with three local rules:

* ``silu(x)`` whose gradient is needed also computes its slope s + y − s·y at once, with s = σ(x)
  and y = x·s; only the slope lives until the backward pass.
* ``mm(a, b) + c`` becomes one ``Gemm``.
* an ``expand`` that only feeds broadcasting operators disappears.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from torch import fx

from m3compress.errors import ExportError
from m3compress.export.onnx.builder import OnnxBuilder
from m3compress.export.onnx.operators import HANDLERS
from m3compress.export.onnx.recompute import recompute_cheap_values
from m3compress.export.onnx.traced import aten, fusible_products, numpy_dtype, tensor_of

Shape = tuple[str | int, ...]


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
        results: Any = module.graph.output_node().args[0]
        self.first_backward = recompute_cheap_values(module.graph, results[0])
        self.fused = fusible_products(module.graph)

    def run(self, output_shapes: dict[str, Shape]) -> onnx.ModelProto:
        """Lower all nodes and assemble the model."""
        names = iter(self.input_shapes.items())
        results: Any = ()
        for node in self.module.graph.nodes:
            if node is self.first_backward:
                # From here on equal nodes are meant: they are recomputed to free memory.
                self.builder.forget()
            if node.op == "placeholder":
                name, shape = next(names)
                self.values[node] = name
                self.inputs.append((name, numpy_dtype(node), shape))
                for axis, size in enumerate(tensor_of(node).shape):
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
            (name, self.name(result), numpy_dtype(result), shape)
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
        handler = HANDLERS.get(node.target)
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
        return self.builder.constant(value, numpy_dtype(like))

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

    def product(self, node: Any, addend: str | None = None) -> str:
        """A matrix product of 2-D values, with an addend of the same shape."""
        a, b = (self.name(argument) for argument in node.args[:2])
        if addend is None:
            return self.builder.node("MatMul", [a, b])
        return self.builder.node("Gemm", [a, b, addend])


def _attribute(module: fx.GraphModule, path: str) -> torch.Tensor:
    value: Any = module
    for part in path.split("."):
        value = getattr(value, part)
    tensor: torch.Tensor = value.detach()
    return tensor
