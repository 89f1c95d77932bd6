"""Where the number of atoms goes in an exported graph: into shapes, and nowhere else.

What an atom has to do with others is in its neighbours, so that no value may follow from how many
atoms there are. No table of structures shows that, since one cannot measure all sizes; the graph
does. It is read for what it takes from the shapes of tensors. A number that a graph finds by
adding up over atoms is not seen here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from m3compress.contract.manifest import INPUT_NAMES
from m3compress.validate.checks.building import Check, count_problems
from m3compress.validate.checks.graph import on_graph
from m3compress.validate.result import Measurement

#: Operators whose second input is a shape. It says where values lie and not what they are.
_SHAPED: Final = frozenset(("Reshape", "Expand"))
#: What makes a shape of sizes.
_OF_SHAPES: Final = frozenset(("Gather", "Concat", "Mul", "Squeeze", "Unsqueeze", "Cast", "Slice"))


def check_sizes(model: Any) -> Measurement:
    """No output is computed from the number of atoms."""
    return count_problems(values_from_sizes(model.graph), n_nodes=len(model.graph.node))


def values_from_sizes(graph: Any) -> list[str]:
    """Outputs that follow from the number of atoms, each with the operator that computes with it.

    Args:
        graph: Of ONNX, its nodes in the order in which they are computed.
    """
    constants = _constants(graph)
    shapes: dict[str, str] = {}  # whole shapes, and the tensors that they are of
    found: dict[str, str] = {}  # what follows from the number of atoms, and by which operator
    for node in graph.node:
        if node.op_type == "Shape" and not node.attribute:
            shapes[node.output[0]] = node.input[0]
        elif not _is_width(node, shapes, constants):
            by = _by(node, shapes, found)
            found.update({} if by is None else dict.fromkeys(node.output, by))
    return [
        f"{output.name} follows from the number of atoms ({found[output.name]})"
        for output in graph.output
        if output.name in found
    ]


def _by(node: Any, shapes: Mapping[str, str], found: Mapping[str, str]) -> str | None:
    """The operator that computes with the number of atoms first, as far as a node shows.

    Empty while the number is part of a shape only, and None where it has nothing to do with it.
    """
    if node.op_type == "Shape":
        return ""
    inputs = node.input[:1] if node.op_type in _SHAPED else node.input
    counts = [found.get(name, "") for name in inputs if name in shapes or name in found]
    if not counts:
        return None
    return next(filter(None, counts), "" if node.op_type in _OF_SHAPES else str(node.op_type))


def _is_width(node: Any, shapes: Mapping[str, str], constants: Mapping[str, list[int]]) -> bool:
    """Whether a node picks the number of slots out of the shape of a table: atoms are its rows."""
    return (
        node.op_type == "Gather"
        and shapes.get(node.input[0]) in INPUT_NAMES
        and constants.get(node.input[1]) == [1]
    )


def _constants(graph: Any) -> dict[str, list[int]]:
    """Stored tensors of a single number."""
    from onnx import numpy_helper

    return {
        tensor.name: numpy_helper.to_array(tensor).ravel().tolist()
        for tensor in graph.initializer
        if max(tensor.dims, default=1) == 1
    }


CHECKS: Final[tuple[Check, ...]] = (
    on_graph("artefact.sizes", "values that follow from the number of atoms", check_sizes),
)
