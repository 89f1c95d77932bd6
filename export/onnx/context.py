"""What operators ask while a trace is lowered: names of values, numbers, sizes and shapes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx

from m3compress.errors import ExportError
from m3compress.export.onnx.builder import OnnxBuilder, element_type
from m3compress.export.onnx.traced import known_size, numpy_dtype, tensor_of

Shape = tuple[str | int, ...]


class LoweringContext:
    """Where every traced value lives in the ONNX graph.

    A traced value is a name of the graph, a constant tensor (weights and what is computed from
    weights alone is evaluated at once), or a size (an int, or the name of a one-element int64
    tensor).

    Attributes:
        builder: The graph so far.
        values: What became of each traced node; several values for a node with several results.
        slopes: Name of dy/dx of every y = silu(x) whose slope is at hand, by x.
        fused: Matrix products that are computed together with an addition.
    """

    def __init__(self, fused: Iterable[fx.Node] = ()) -> None:
        self.builder = OnnxBuilder()
        self.values: dict[fx.Node, Any] = {}
        self.slopes: dict[fx.Node, str] = {}
        self.fused = frozenset(fused)
        self._sizes: dict[str, tuple[str, int]] = {}

    def add_input(self, name: str, node: fx.Node, shape: Shape) -> None:
        """Declare a graph input.

        Sizes are read off the inputs, so that no intermediate value lives on for its shape.

        Raises:
            ExportError: If the trace holds for one size only of a dimension named in ``shape``.
        """
        self.values[node] = name
        for axis, (size, declared) in enumerate(zip(tensor_of(node).shape, shape, strict=True)):
            if isinstance(declared, str) and known_size(size) is not None:
                raise ExportError(f"the trace holds for {declared} = {size} of {name} only")
            self._sizes.setdefault(str(size), (name, axis))

    def name(self, argument: Any, dtype: torch.dtype | None = None) -> str:
        """Graph name of a traced value, size or number, as a ``dtype`` if one is given."""
        value = self.values[argument] if isinstance(argument, fx.Node) else argument
        if isinstance(value, str):
            return self._cast(value, argument.meta["val"], dtype)
        if isinstance(value, torch.Tensor):
            array = value.detach().to(dtype=dtype or value.dtype).cpu().numpy()
            return self.builder.constant(array)
        return self.builder.constant(value, None if dtype is None else numpy_dtype(dtype))

    def _cast(self, name: str, traced: Any, dtype: torch.dtype | None) -> str:
        own = torch.int64
        if isinstance(traced, torch.Tensor):
            own = traced.dtype
        else:  # a size is kept with one axis, and stands for a number here
            name = self.builder.node("Squeeze", [name])
        if dtype in {None, own}:
            return name
        return self.builder.node("Cast", [name], to=element_type(numpy_dtype(dtype)))

    def size(self, argument: Any) -> str:
        """Name of a one-element int64 tensor that holds a size."""
        value = self.values[argument] if isinstance(argument, fx.Node) else argument
        if isinstance(value, torch.SymInt):
            return self.symbol(value.node.expr)
        return value if isinstance(value, str) else self.builder.constant([value], np.int64)

    def shape(self, sizes: Sequence[Any]) -> str:
        """Name of a shape for Reshape or Expand; one unknown size is left to be inferred."""
        values = [self.values[s] if isinstance(s, fx.Node) else s for s in sizes]
        if all(isinstance(v, int) for v in values):
            return self.builder.constant(values, np.int64)
        return self.builder.node("Concat", [self.size(v) for v in values], axis=0)

    def symbol(self, expression: Any) -> str:
        """Name of a one-element int64 tensor that holds a product of input sizes.

        Raises:
            ExportError: If the size cannot be had from the sizes of the inputs.
        """
        if expression.is_Integer:
            return self.builder.constant([int(expression)], np.int64)
        if expression.is_Mul:
            factors = [self.symbol(factor) for factor in expression.args]
            return functools.reduce(lambda a, b: self.builder.node("Mul", [a, b]), factors)
        if str(expression) not in self._sizes:
            raise ExportError(f"the size {expression} of a traced value is not a size of an input")
        name, axis = self._sizes[str(expression)]
        shape = self.builder.node("Shape", [name])
        return self.builder.node("Gather", [shape, self.builder.constant([axis], np.int64)], axis=0)


#: Adds the nodes that compute a traced node, and says what became of it.
Handler = Callable[[LoweringContext, Any], Any]
