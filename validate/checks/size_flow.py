"""Where the sizes of the tables go in an exported graph: into shapes, and nowhere else.

What an atom has to do with others is in its neighbours, so that no value may follow from how many
atoms there are, nor from how many slots the tables have: those are for the atom with the most
neighbours. No table of structures shows that, since one cannot measure all sizes; the graph does.
It is read for what it takes from the shapes of tensors. A number that a graph finds by adding up
over atoms is not seen here.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, Final

from m3compress.validate.checks.building import Check, count_problems
from m3compress.validate.checks.graph import on_graph
from m3compress.validate.result import Measurement

#: Operators whose second input is a shape. It says where values lie and not what they are.
_SHAPED: Final = frozenset(("Reshape", "Expand"))
#: What makes a shape of sizes.
_OF_SHAPES: Final = frozenset(("Gather", "Concat", "Mul", "Squeeze", "Unsqueeze", "Cast", "Slice"))


def check_sizes(model: Any) -> Measurement:
    """No output is computed from the number of atoms or of slots."""
    return count_problems(values_from_sizes(model.graph), n_nodes=len(model.graph.node))


def values_from_sizes(graph: Any) -> list[str]:
    """Outputs that follow from sizes of the tables, each with the operator that computes with them.

    Args:
        graph: Of ONNX, its nodes in the order in which they are computed.
    """
    shapes: set[str] = set()  # whole ones
    numbers: set[str] = set()  # of all slots of a row, or of all rows
    found: dict[str, str] = {}  # what follows from the sizes, and by which operator
    for node in graph.node:
        if node.op_type == "Shape" and not node.attribute:
            shapes.update(node.output)
        elif _are_numbered(node, numbers, found):
            numbers.update(node.output)
            found.update(dict.fromkeys(node.output, ""))
        elif node.op_type != "Equal" or not numbers.issuperset(node.input):
            by = _by(node, shapes, found)
            found.update({} if by is None else dict.fromkeys(node.output, by))
    return [
        f"{output.name} follows from the sizes of the tables ({found[output.name]})"
        for output in graph.output
        if output.name in found
    ]


def _by(node: Any, shapes: Container[str], found: Mapping[str, str]) -> str | None:
    """The operator that computes with a size first, as far as a node shows.

    Empty while the size is part of a shape only, and None where it has nothing to do with it.
    """
    if node.op_type == "Shape":
        return ""
    inputs = node.input[:1] if node.op_type in _SHAPED else node.input
    counts = [found.get(name, "") for name in inputs if name in shapes or name in found]
    if not counts:
        return None
    return next(filter(None, counts), "" if node.op_type in _OF_SHAPES else str(node.op_type))


def _are_numbered(node: Any, numbers: Container[str], found: Mapping[str, str]) -> bool:
    """Whether a node numbers slots, by which lists of triplets tell one from another."""
    if node.op_type == "Unsqueeze":
        return node.input[0] in numbers
    sizes = [found[name] for name in node.input if name in found]
    return node.op_type == "Range" and bool(sizes) and not any(sizes)


CHECKS: Final[tuple[Check, ...]] = (
    on_graph(
        "artefact.sizes",
        "values that follow from the number of atoms or of slots",
        check_sizes,
    ),
)
