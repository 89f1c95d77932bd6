"""What an exported graph may hold: the export writes nothing else, the gate passes nothing else.

All of them are functions of their inputs: none draws random numbers, keeps a state, branches, adds
into shared memory or reads another file. ``tests/export/onnx/test_builder.py`` holds the list
against what the lowering of PyTorch's operators writes.
"""

from __future__ import annotations

from typing import Final

#: Names in the domain of ONNX itself; there is no other domain, and there are no functions.
OPERATORS: Final = frozenset(
    (
        *("Add", "Sub", "Mul", "Div", "Mod", "Neg", "Reciprocal", "Sqrt", "Sin", "Cos", "Sigmoid"),
        *("And", "BitwiseAnd", "Not", "Equal", "LessOrEqual", "GreaterOrEqual", "Where", "Clip"),
        *("MatMul", "Gemm", "ReduceSum"),
        *("Gather", "Slice", "Split", "Concat", "Cast", "Identity", "Range"),
        *("Shape", "Reshape", "Expand", "Transpose", "Squeeze", "Unsqueeze"),
    )
)

#: Types of tensors, by their ONNX names; float16 in files of mixed precision.
TENSOR_TYPES: Final = frozenset(("FLOAT", "FLOAT16", "INT64", "BOOL"))
