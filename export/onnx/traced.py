"""What a traced graph says about its nodes: types, sizes, and products that can be fused."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import fx

from m3compress.errors import ExportError

aten = torch.ops.aten
UNSAFE_VIEW = aten._unsafe_view.default  # noqa: SLF001 - an operator of PyTorch
TO_COPY = aten._to_copy.default  # noqa: SLF001 - an operator of PyTorch
VIEWS = (aten.view.default, UNSAFE_VIEW)

_NUMPY_DTYPES: dict[torch.dtype, type[np.generic]] = {
    torch.float16: np.float16,
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.int64: np.int64,
    torch.bool: np.bool_,
}


def fusible_products(graph: fx.Graph) -> set[fx.Node]:
    """Nodes mm (→ view) whose only use is an addition of a value of the same shape and type."""
    fused: set[fx.Node] = set()
    for node in graph.nodes:
        if node.target is not aten.add.Tensor or node.kwargs:
            continue
        a, b = node.args[:2]
        for argument, other in ((a, b), (b, a)):
            chain = product_chain(argument)
            if chain and _can_be_added(argument, other):
                fused.update(chain)
                break
    return fused


def _can_be_added(product: fx.Node, other: Any) -> bool:
    """Whether one Gemm can compute product + other: no broadcasting, no cast, and no integers."""
    return (
        isinstance(other, fx.Node)
        and other is not product
        and isinstance(other.meta["val"], torch.Tensor)
        and same_shape(product, other)
        and tensor_of(product).dtype == tensor_of(other).dtype
        and tensor_of(product).is_floating_point()
    )


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


def argument(node: Any, position: int, default: Any) -> Any:
    """A positional argument that may have been left out."""
    return node.args[position] if len(node.args) > position else default


def same_shape(a: Any, b: Any) -> bool:
    """Whether two values have the same sizes, dynamic ones included."""
    return str(tuple(tensor_of(a).shape)) == str(tuple(tensor_of(b).shape))


def tensor_of(node: Any) -> torch.Tensor:
    """The symbolic tensor that a node stands for."""
    value: torch.Tensor = node.meta["val"]
    return value


def common_dtype(a: Any, b: Any) -> torch.dtype:
    """The type in which PyTorch compares two traced values or numbers."""
    operands = [x.meta["val"] if isinstance(x, fx.Node) else x for x in (a, b)]
    # A size counts as an integer, whatever its value.
    return torch.result_type(*(0 if isinstance(x, torch.SymInt) else x for x in operands))


def known_size(size: int | torch.SymInt) -> int | None:
    """The size if it is the same whatever the inputs, else None."""
    return size if isinstance(size, int) else size.node.maybe_as_int()


def numpy_dtype(dtype: torch.dtype) -> type[np.generic]:
    """The same type in numpy.

    Raises:
        ExportError: If no exported graph computes in it.
    """
    if dtype not in _NUMPY_DTYPES:
        names = ", ".join(str(known) for known in _NUMPY_DTYPES)
        raise ExportError(f"values of type {dtype} cannot be exported, only {names}")
    return _NUMPY_DTYPES[dtype]
