"""One handler per traced operator: which ONNX nodes compute it.

Handlers see nodes as ``Any``: what PyTorch says of their arguments is a union of twenty types.
"""

from __future__ import annotations

from typing import Any, Final

from m3compress.export.onnx.context import Handler
from m3compress.export.onnx.operators import (
    activations,
    creation,
    elementwise,
    indexing,
    linear,
    shapes,
)

HANDLERS: Final[dict[Any, Handler]] = {
    **elementwise.HANDLERS,
    **activations.HANDLERS,
    **linear.HANDLERS,
    **shapes.HANDLERS,
    **indexing.HANDLERS,
    **creation.HANDLERS,
}
