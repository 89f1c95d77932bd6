"""What an exported graph makes of its tables: they say where values lie, and are no values.

``species``, ``neighbors`` and ``incoming`` are numbers of rows. A graph that computed with them
would know the number of an atom, of its element or of how many atoms there are, and could go wrong
beyond any that was measured: 16 or 17 bits of an index are enough for every structure of a gate.
The masks tell which slots are filled. Added up by themselves they give the number of neighbours,
on which nothing depends but by what each of them adds.

No table of structures shows that; the graph does.
"""

from __future__ import annotations

from typing import Any, Final

from m3compress.validate.checks.building import Check, count_problems
from m3compress.validate.checks.graph import on_graph
from m3compress.validate.result import Measurement

_INDICES: Final = frozenset(("species", "neighbors", "incoming"))
_MASKS: Final = frozenset(("mask", "incoming_mask"))
#: What may be done to a mask, slot by slot, before it meets what the slots hold.
_OF_MASKS: Final = frozenset(("Unsqueeze", "Sub", "Mul"))


def check_indices(model: Any) -> Measurement:
    """Tables of rows are read as that, and nothing is computed with them."""
    return count_problems(computed_indices(model.graph), n_nodes=len(model.graph.node))


def computed_indices(graph: Any) -> list[str]:
    """Nodes that take a table of rows for numbers.

    Args:
        graph: Of ONNX, its nodes in the order in which they are computed.
    """
    tables = set(_INDICES)
    problems = []
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name not in tables or node.op_type == "Shape":
                continue
            if node.op_type == "Reshape" and position == 0:
                tables.update(node.output)
            elif node.op_type != "Gather" or position != 1:
                problems.append(f"{_named(node)} computes with {name}")
    return problems


def check_counts(model: Any) -> Measurement:
    """Masks are laid on what the slots hold, and not added up by themselves."""
    return count_problems(added_masks(model.graph), n_nodes=len(model.graph.node))


def added_masks(graph: Any) -> list[str]:
    """Nodes that make a number of masks alone.

    Args:
        graph: Of ONNX, its nodes in the order in which they are computed.
    """
    constants = {tensor.name for tensor in graph.initializer}
    masks = set(_MASKS)
    problems = []
    for node in graph.node:
        if node.op_type == "Constant":
            constants.update(node.output)
        variable = set(filter(None, node.input)) - constants
        if not variable or not variable <= masks or node.op_type == "Shape":
            continue
        masks.update(node.output)
        if node.op_type not in _OF_MASKS:
            problems.append(f"{_named(node)} computes with {', '.join(sorted(variable))} alone")
    return problems


def _named(node: Any) -> str:
    return f"{node.op_type} {node.name}".strip()


CHECKS: Final[tuple[Check, ...]] = (
    on_graph(
        "artefact.indices",
        "nodes that compute with numbers of atoms, elements or slots",
        check_indices,
    ),
    on_graph(
        "artefact.counts",
        "nodes that compute with which slots are filled, and nothing else",
        check_counts,
    ),
)
