"""What a traced graph says about its nodes: types, shapes, and products that can be fused."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import fx

aten = torch.ops.aten
UNSAFE_VIEW = aten._unsafe_view.default  # noqa: SLF001 - an operator of PyTorch
TO_COPY = aten._to_copy.default  # noqa: SLF001 - an operator of PyTorch
VIEWS = {aten.view.default, UNSAFE_VIEW, aten.reshape.default}

_NUMPY_DTYPES: dict[torch.dtype, type[np.generic]] = {
    torch.float16: np.float16,
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.int64: np.int64,
    torch.bool: np.bool_,
}


def fusible_products(graph: fx.Graph) -> set[fx.Node]:
    """Nodes mm (→ view) whose only use is an addition of a value of the same shape."""
    fused: set[fx.Node] = set()
    for node in graph.nodes:
        if node.target is not aten.add.Tensor or node.kwargs:
            continue
        a, b = node.args[:2]
        for argument, other in ((a, b), (b, a)):
            chain = product_chain(argument)
            if chain and isinstance(other, fx.Node) and same_shape(argument, other):
                if other in fused:
                    continue
                fused.update(chain)
                break
    return fused


def product_chain(node: Any) -> tuple[fx.Node, ...]:
    """(mm, view) or (mm,) that ends in ``node`` and is used nowhere else, else ()."""
    if not isinstance(node, fx.Node) or len(node.users) != 1:
        return ()
    if node.target is aten.mm.default:
        return (node,)
    source = node.args[0] if node.target in VIEWS else None
    if isinstance(source, fx.Node) and source.target is aten.mm.default and len(source.users) == 1:
        return (source, node)
    return ()


def same_shape(a: Any, b: Any) -> bool:
    """Whether two values have the same sizes, dynamic ones included."""
    return str(tuple(tensor_of(a).shape)) == str(tuple(tensor_of(b).shape))


def tensor_of(node: Any) -> torch.Tensor:
    """The symbolic tensor that a node stands for."""
    value: torch.Tensor = node.meta["val"]
    return value


def numpy_dtype(node: Any) -> type[np.generic]:
    """The dtype of a node's value."""
    return _NUMPY_DTYPES[tensor_of(node).dtype]
