"""Editing an exported file as a buggy exporter would have written it: hash and manifest agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from m3compress.contract.backends import manifest_path
from m3compress.contract.files import sha256_of
from m3compress.contract.manifest import Manifest
from m3compress.export.onnx.build import serialize

Array = np.ndarray[Any, Any]


class Surgery:
    """An exported file on the table: its graph, and its manifest as plain values.

    Args:
        path: The exported file; it stays as it is.
    """

    def __init__(self, path: Path) -> None:
        self.model = onnx.load(path)
        self.graph = self.model.graph
        self.manifest: dict[str, Any] = json.loads(manifest_path(path).read_text())
        self._added: list[onnx.NodeProto] = []
        self._n_names = 0

    def save(self, path: Path) -> Path:
        """Write the file, with a manifest inside and beside that agrees with it."""
        manifest = Manifest.model_validate(self.manifest)
        path.write_bytes(serialize(self.model, manifest))
        stamped = manifest.model_copy(update={"artefact_sha256": sha256_of(path)})
        manifest_path(path).write_text(stamped.model_dump_json())
        return path

    # Weights

    def weight(self, name: str) -> Array:
        """Values of an initializer."""
        return np.array(numpy_helper.to_array(self._initializer(name)))

    def set_weight(self, name: str, value: Array) -> None:
        """Other values, in the type that the initializer has."""
        dtype = self.weight(name).dtype
        self._initializer(name).CopyFrom(numpy_helper.from_array(value.astype(dtype), name))

    def weights(self, where: str) -> list[str]:
        """Float matrices in the order in which they are read.

        Args:
            where: ``forward`` or ``backward``: read there only; ``both``: in both.
        """
        matrices = {i.name for i in self.graph.initializer if i.data_type == 1 and len(i.dims) == 2}
        middle = self._energies_at()
        forward, backward = (
            list(dict.fromkeys(name for node in nodes for name in node.input if name in matrices))
            for nodes in (self.graph.node[: middle + 1], self.graph.node[middle + 1 :])
        )
        return {
            "forward": [name for name in forward if name not in backward],
            "backward": [name for name in backward if name not in forward],
            "both": [name for name in forward if name in backward],
        }[where]

    def constant(self, value: Array | float, dtype: type = np.float32) -> str:
        """Name of a new initializer."""
        name = self._new_name()
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    # Nodes

    def wrap(
        self, tensor: str, change: Callable[[str], str], *, readers: str = "all", first: int = 0
    ) -> None:
        """Put nodes behind a tensor: those that read it read what ``change`` makes of it.

        Args:
            tensor: An input or an output of the graph, or what a node yields.
            change: Given the name of the tensor as it was, adds nodes with :meth:`node` and names
                its successor.
            readers: ``all``, or only those of the ``forward`` or ``backward`` pass.
            first: Place of the first node that may change.
        """
        nodes = self.graph.node
        place = next((k for k, node in enumerate(nodes) if tensor in node.output), -1)
        is_output = tensor in {output.name for output in self.graph.output}
        source = self._new_name() if is_output else tensor
        if is_output:
            maker = nodes[place]
            maker.output[:] = [source if name == tensor else name for name in maker.output]
        middle = self._energies_at(source if tensor == "energies" else "energies")
        successor = change(source)
        allowed = {"all": (0, len(nodes)), "forward": (0, middle + 1)}.get(
            readers, (middle + 1, len(nodes))
        )
        for node in nodes[max(place + 1, first, allowed[0]) : allowed[1]]:
            node.input[:] = [successor if name == tensor else name for name in node.input]
        if is_output:
            self._added.append(helper.make_node("Identity", [successor], [tensor]))
        # New nodes may read shapes and constants made before, and nothing that is made later.
        for offset, node in enumerate(self._added):
            nodes.insert(place + 1 + offset, node)
        self._added.clear()

    def node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and name what it yields; inside the function given to :meth:`wrap`."""
        name = self._new_name()
        self._added.append(helper.make_node(op_type, list(inputs), [name], **attributes))
        return name

    def scaled(self, tensor: str, factor: float | Array) -> str:
        """A tensor times numbers."""
        return self.node("Mul", tensor, self.constant(factor))

    def shifted(self, tensor: str, by: float | Array) -> str:
        """A tensor plus numbers."""
        return self.node("Add", tensor, self.constant(by))

    def where(self, condition: str, then: str, otherwise: str) -> str:
        """``then`` where a condition holds, else ``otherwise``."""
        return self.node("Where", condition, then, otherwise)

    def size(self, tensor: str, axis: int) -> str:
        """Length of an axis, shape (1,)."""
        shape = self.node("Shape", tensor)
        return self.node("Gather", shape, self.constant(np.array([axis]), np.int64))

    def above(self, count: str, number: float) -> str:
        """Where a number is above another; integers count."""
        as_float = self.node("Cast", count, to=onnx.TensorProto.FLOAT)
        return self.node("Greater", as_float, self.constant(number))

    def at_least(self, tensor: str, number: float) -> str:
        """Where numbers are no smaller than another, by an operator that an export writes."""
        return self.node("GreaterOrEqual", self.as_float(tensor), self.constant(number))

    def at_most(self, tensor: str, number: float) -> str:
        """Where numbers are no larger than another, by an operator that an export writes."""
        return self.node("LessOrEqual", self.as_float(tensor), self.constant(number))

    def within(self, tensor: str, low: float, high: float) -> str:
        """Where numbers lie in an interval, its ends included."""
        return self.node("And", self.at_least(tensor, low), self.at_most(tensor, high))

    def sum_over(self, tensor: str, axis: int, *, keepdims: int = 0) -> str:
        """Sum along an axis."""
        axes = self.constant(np.array([axis]), np.int64)
        return self.node("ReduceSum", tensor, axes, keepdims=keepdims)

    def with_axis(self, tensor: str, axis: int) -> str:
        """With a further axis of length 1."""
        return self.node("Unsqueeze", tensor, self.constant(np.array([axis]), np.int64))

    def reshaped(self, tensor: str, *shape: int) -> str:
        """In another shape."""
        return self.node("Reshape", tensor, self.constant(np.array(shape), np.int64))

    def is_element(self, species: str, element: int) -> str:
        """Where atoms are of the element of this index."""
        return self.node("Equal", species, self.constant(np.array(element), np.int64))

    def cast(self, tensor: str, kind: int) -> str:
        """In another type."""
        return self.node("Cast", tensor, to=kind)

    def as_float(self, tensor: str) -> str:
        """Integers, or where something holds, as numbers of the type of all others."""
        return self.cast(tensor, onnx.TensorProto.FLOAT)

    def rounded_to_half(self, tensor: str) -> str:
        """Rounded to float16, and float32 again."""
        return self.cast(self.cast(tensor, onnx.TensorProto.FLOAT16), onnx.TensorProto.FLOAT)

    def producer(self, tensor: str) -> onnx.NodeProto:
        """The node that yields a tensor."""
        return next(node for node in self.graph.node if tensor in node.output)

    def nodes(self, op_type: str) -> list[onnx.NodeProto]:
        """All nodes of a type, in their order."""
        return [node for node in self.graph.node if node.op_type == op_type]

    def forward(self, op_type: str) -> list[onnx.NodeProto]:
        """Nodes of a type that the energies are made with, in their order."""
        forward = self.graph.node[: self._energies_at() + 1]
        return [node for node in forward if node.op_type == op_type]

    def _energies_at(self, output: str = "energies") -> int:
        """Place of the last node of the forward pass."""
        maker = self.producer(output)
        source = maker.input[0] if maker.op_type == "Identity" else output
        return next(k for k, node in enumerate(self.graph.node) if source in node.output)

    def _initializer(self, name: str) -> onnx.TensorProto:
        return next(i for i in self.graph.initializer if i.name == name)

    def _new_name(self) -> str:
        self._n_names += 1
        return f"edited{self._n_names}"
