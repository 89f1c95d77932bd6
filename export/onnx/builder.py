"""A small builder of ONNX graphs: constants stored once, equal nodes merged, unused nodes dropped.

Names are numbered in the order of creation and nothing depends on addresses or hashing order, so
that the same model gives the same file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from m3compress.contract.operators import OPERATORS
from m3compress.errors import ExportError

#: Lowest common denominator of ONNX Runtime and both generations of TensorRT.
OPSET: Final = 18
IR_VERSION: Final = 9

Array = npt.NDArray[Any]


class OnnxBuilder:
    """Collects nodes; every method returns names of values."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, Array] = {}
        self._constant_names: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._memo: dict[tuple[Any, ...], str] = {}

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> str:
        """Name of an initializer that holds ``value``; equal values share one."""
        array = np.ascontiguousarray(np.asarray(value, dtype=dtype))
        array = array.reshape(np.shape(value))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constant_names:
            name = f"c{len(self._constants)}"
            self._constant_names[key] = name
            self._constants[name] = array
        return self._constant_names[key]

    def node(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node with one output, or return the output of an equal one.

        Raises:
            ExportError: If no exported file may hold such a node.
        """
        if op not in OPERATORS:
            raise ExportError(f"{op} is none of the operators that an exported graph may hold")
        key = (op, tuple(inputs), tuple(sorted((k, repr(v)) for k, v in attributes.items())))
        if key not in self._memo:
            output = f"v{len(self._nodes)}"
            self._nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
            self._memo[key] = output
        return self._memo[key]

    def existing(self, op: str, inputs: Sequence[str]) -> str | None:
        """Output of an equal node without attributes, if there is one."""
        return self._memo.get((op, tuple(inputs), ()))

    def forget(self) -> None:
        """Stop merging later nodes with earlier ones."""
        self._memo.clear()

    def split(self, value: str, sizes: Sequence[int], axis: int) -> list[str]:
        """Split into parts of the given sizes."""
        outputs = [f"v{len(self._nodes)}_{part}" for part in range(len(sizes))]
        inputs = [value, self.constant(sizes, np.int64)]
        self._nodes.append(helper.make_node("Split", inputs, outputs, axis=axis))
        return outputs

    def finish(
        self,
        inputs: Sequence[tuple[str, type[np.generic], Sequence[str | int]]],
        outputs: Sequence[tuple[str, str, type[np.generic], Sequence[str | int]]],
    ) -> onnx.ModelProto:
        """The model.

        Args:
            inputs: (name, dtype, shape) of every graph input.
            outputs: (public name, name of the value, dtype, shape) of every graph output.
        """
        nodes = self._live([value for _, value, _, _ in outputs])
        nodes += [helper.make_node("Identity", [value], [name]) for name, value, _, _ in outputs]
        used = {name for node in nodes for name in node.input}
        graph = helper.make_graph(
            nodes,
            "m3gnet",
            [_value_info(*entry) for entry in inputs],
            [_value_info(name, dtype, shape) for name, _, dtype, shape in outputs],
            [
                numpy_helper.from_array(a, name)
                for name, a in self._constants.items()
                if name in used
            ],
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model

    def _live(self, wanted: Sequence[str]) -> list[onnx.NodeProto]:
        """Nodes that the wanted values need, in order."""
        needed = set(wanted)
        live = []
        for node in reversed(self._nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                live.append(node)
        return live[::-1]


def _value_info(
    name: str, dtype: type[np.generic], shape: Sequence[str | int]
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element_type(dtype), list(shape))


def element_type(dtype: npt.DTypeLike) -> int:
    """ONNX element type of a numpy dtype."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
