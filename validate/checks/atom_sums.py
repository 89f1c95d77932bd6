"""What an exported graph adds up over atoms: nothing, since every atom answers for itself.

A graph that counted atoms, or neighbours of all atoms together, could go wrong beyond any number
that was measured. Whether one does is seen by running it, node by node, on two tables that differ
in their number of atoms alone: an axis whose length changes is one of atoms, and a number without
such an axis that follows from the tables was made of all atoms at once, or of one for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from m3compress.contract.manifest import INPUT_NAMES
from m3compress.contract.tables import TableInputs
from m3compress.validate.checks.building import Check, count_problems
from m3compress.validate.checks.graph import on_graph
from m3compress.validate.result import Measurement

Array = npt.NDArray[Any]
#: Sizes that nothing else in a graph has by chance twice, and slots of the tables.
_ATOMS: Final = (11, 13)
_SLOTS, _INCOMING = 5, 3


def check_sums(model: Any) -> Measurement:
    """No output of an atom is computed from a sum over atoms."""
    return count_problems(values_from_sums(model), n_nodes=len(model.graph.node))


def values_from_sums(model: Any) -> list[str]:
    """Outputs that follow from what all atoms have in common, and the node that found it.

    The sum of the virials of all atoms, which files of earlier versions give, may be one.

    Args:
        model: Of ONNX, its nodes in the order in which they are computed.
    """
    small, large = (_run(model, n_atoms) for n_atoms in _ATOMS)
    found: dict[str, str] = {}
    follows = set(INPUT_NAMES)
    for node in model.graph.node:
        if node.op_type == "Shape" or not follows.intersection(node.input):
            continue
        follows.update(node.output)
        by = next((found[name] for name in node.input if name in found), None)
        if by is None and _joins_atoms(node, small, large):
            by = f"{node.op_type} {node.name}".strip()
        found.update({} if by is None else dict.fromkeys(node.output, by))
    return [
        f"{output.name} follows from a value of all atoms together ({found[output.name]})"
        for output in model.graph.output
        if output.name in found and small[output.name].shape != (3, 3)
    ]


def _joins_atoms(node: Any, small: Mapping[str, Array], large: Mapping[str, Array]) -> bool:
    """Whether a node makes of tensors with axes of atoms one without, or adds up along one."""

    def has_atoms(name: str) -> bool:
        return small[name].shape != large[name].shape

    if not any(has_atoms(name) for name in node.input if name in small):
        return False
    lost = not all(has_atoms(name) for name in node.output)
    return lost or any(
        a != b for a, b in zip(_summed(node, small), _summed(node, large), strict=True)
    )


def _summed(node: Any, values: Mapping[str, Array]) -> Iterator[int]:
    """Lengths of the axes over which a node adds."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    first = values[node.input[0]].shape
    if node.op_type == "ReduceSum":
        axes = values[node.input[1]].ravel() if len(node.input) > 1 else range(len(first))
        yield from (first[int(axis)] for axis in axes)
    elif node.op_type == "MatMul":
        yield first[-1]
    elif node.op_type == "Gemm":
        yield first[0 if "transA" in attributes and attributes["transA"].i else 1]


def _run(model: Any, n_atoms: int) -> dict[str, Array]:
    """Every tensor of a graph on a made-up table, stored ones among them."""
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    with np.errstate(all="ignore"):
        values = ReferenceEvaluator(model).run(None, _tables(n_atoms), intermediate=True)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return {**stored, **{name: np.asarray(value) for name, value in dict(values).items()}}


def _tables(n_atoms: int) -> dict[str, Array]:
    """Tables of so many atoms, each a neighbour of the first."""
    slots = (n_atoms, _SLOTS)
    return TableInputs(
        species=np.zeros(n_atoms, dtype=np.int64),
        neighbors=np.zeros(slots, dtype=np.int64),
        mask=np.ones(slots, dtype=np.float32),
        edge_vectors=np.random.default_rng(0).uniform(1, 2, (*slots, 3)).astype(np.float32),
        incoming=np.zeros((n_atoms, _INCOMING), dtype=np.int64),
        incoming_mask=np.ones((n_atoms, _INCOMING), dtype=np.float32),
    ).feed()


CHECKS: Final[tuple[Check, ...]] = (
    on_graph("artefact.sums", "values of an atom that follow from all atoms together", check_sums),
)
