"""From traced PyTorch operators to ONNX nodes.

The general exporter of PyTorch works on these graphs too, but takes a minute, keeps two tensors of
every SiLU for the backward pass where one is enough, and leaves sums of matrix products unfused;
those decide speed and memory of an MD step. The operators that occur are few
(:mod:`m3compress.export.onnx.operators`), so they are lowered here, with three local rules:

* ``silu(x)`` whose gradient is needed also computes its slope s·(1 + x − y) at once, with s = σ(x)
  and y = x·s; only the slope lives until the backward pass.
* ``mm(a, b) + c`` becomes one ``Gemm``.
* an ``expand`` that only feeds broadcasting operators disappears.
"""

from __future__ import annotations

from typing import Any

import onnx
import torch
from torch import fx

from m3compress.errors import ExportError
from m3compress.export.onnx.context import LoweringContext, Shape
from m3compress.export.onnx.operators import HANDLERS
from m3compress.export.onnx.recompute import recompute_cheap_values
from m3compress.export.onnx.traced import aten, fusible_products, numpy_dtype, tensor_of


def lower(
    module: fx.GraphModule,
    input_shapes: dict[str, Shape],
    output_shapes: dict[str, Shape],
) -> onnx.ModelProto:
    """Lower a traced function to an ONNX model.

    Args:
        module: Traced by ``make_fx``, without decompositions; it is rewritten on the way.
        input_shapes: Name → shape of every input in order; strings are dynamic dimensions.
        output_shapes: The same for the outputs; the first is the value whose gradient is taken.

    Raises:
        ExportError: If the trace holds an operator that has no ONNX form here.
    """
    module.graph.eliminate_dead_code()
    results: Any = module.graph.output_node().args[0]
    first_backward = recompute_cheap_values(module.graph, results[0])
    low = LoweringContext(fusible_products(module.graph))
    placeholders = module.graph.find_nodes(op="placeholder")
    inputs = list(zip(input_shapes.items(), placeholders, strict=True))
    for (name, shape), node in inputs:
        low.add_input(name, node, shape)
    for node in module.graph.nodes:
        if node is first_backward:
            # From here on equal nodes are meant: they are recomputed to free memory.
            low.builder.forget()
        if node.op == "get_attr":
            low.values[node] = _attribute(module, str(node.target))
        elif node.op == "call_function":
            low.values[node] = _lower_node(low, node)
    return low.builder.finish(
        [(name, numpy_dtype(tensor_of(node).dtype), shape) for (name, shape), node in inputs],
        [
            (name, low.name(result), numpy_dtype(tensor_of(result).dtype), shape)
            for (name, shape), result in zip(output_shapes.items(), results, strict=True)
        ],
    )


def _lower_node(low: LoweringContext, node: fx.Node) -> Any:
    """What becomes of a call: nothing yet, a constant computed at once, or nodes of the graph."""
    if node in low.fused:
        return None
    arguments = node.all_input_nodes
    known = all(isinstance(low.values[a], torch.Tensor | int | tuple) for a in arguments)
    if arguments and known and node.target is not aten.silu.default:
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda a: low.values[a])
        return node.target(*args, **kwargs)  # type: ignore[operator]
    handler = HANDLERS.get(node.target)
    if handler is None:
        raise ExportError(
            f"the traced operator {node.target} has no ONNX form here",
            hint=f"torch {torch.__version__} traces the model differently; report this version",
        )
    return handler(low, node)


def _attribute(module: fx.GraphModule, path: str) -> torch.Tensor:
    value: Any = module
    for part in path.split("."):
        value = getattr(value, part)
    tensor: torch.Tensor = value.detach()
    return tensor
