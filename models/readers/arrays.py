"""Read tensors without running code, and put them into a network with every shape checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from m3compress.errors import CheckpointError
from m3compress.models.config import M3GNetConfig
from m3compress.models.network import M3GNet

_REBUILD_ARRAY: Any = np.zeros(0).__reduce__()[0]
_REBUILD_SCALAR: Any = np.float64(0).__reduce__()[0]
#: What a pickle of numpy numbers names; matgl up to 2.x saved ``element_refs`` as an array. Numpy 1
#: wrote another module name than numpy 2. Arrays of objects stay refused: their dtype is absent.
_NUMPY_GLOBALS: list[Any] = [
    np.ndarray,
    np.dtype,
    *(
        (function, f"numpy.{core}.multiarray.{function.__name__}")
        for function in (_REBUILD_ARRAY, _REBUILD_SCALAR)
        for core in ("_core", "core")
    ),
    *(type(np.dtype(name)) for name in ("f2", "f4", "f8", "i4", "i8", "?")),
]


def load_torch(path: Path, *, otherwise: str = "save the state_dict instead") -> Any:
    """``torch.load`` restricted to tensors, numpy arrays and plain containers.

    Args:
        path: The file.
        otherwise: What to do where it holds more than that, for the hint.

    Raises:
        CheckpointError: If the file is missing, empty, truncated, or wants to run code.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist or is not a file")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path} is empty", hint="download it again")
    try:
        with torch.serialization.safe_globals(_NUMPY_GLOBALS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can fail in any way
        reason = _first_line(error)
        if any(word in reason for word in ("GLOBAL", "allowlisted", "unrecognized function")):
            raise CheckpointError(
                f"{path} holds more than tensors and plain values, and was not executed: {reason}",
                hint=f"only files whose pickle holds weights are read; {otherwise}",
            ) from error
        raise CheckpointError(
            f"{path} is not a readable PyTorch file: {reason}",
            hint="it is probably truncated; download it again",
        ) from error


def _first_line(error: Exception) -> str:
    """The culprit in torch's long messages, without the advice to trust the file."""
    text = str(error).partition("WeightsUnpickler error:")[2].strip() or str(error)
    lines = text.splitlines() or [type(error).__name__]
    line = next((line for line in lines if "GLOBAL" in line), lines[0])
    return line.partition(" was not an allowed global")[0]


def as_float64(value: Any, what: str) -> Tensor:
    """Weights of any floating-point type (float64, float32, float16, bfloat16) in float64.

    Args:
        value: A tensor, an array or a number; integers are taken for numbers.
        what: What to call it in messages.

    Raises:
        CheckpointError: If the type is one that holds codes instead of numbers, or no type at all.
    """
    try:
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{what} cannot be read as numbers: {error}") from error
    if tensor.is_quantized or tensor.is_complex() or tensor.layout != torch.strided:
        kind = str(tensor.dtype).removeprefix("torch.")
        layout = "" if tensor.layout == torch.strided else f", {tensor.layout}"
        raise CheckpointError(
            f"{what} is of type {kind}{layout}, expected real floating-point numbers",
            hint="save the model in float32, with model.dequantize() or model.to_dense() before",
        )
    return tensor.to(torch.float64)


def fill_network(
    config: M3GNetConfig, arrays: Mapping[str, Tensor | np.ndarray], source: str
) -> M3GNet:
    """Build a network and copy weights into it.

    Args:
        config: The configuration that the file claims.
        arrays: Weights under the names of :class:`M3GNet`'s ``state_dict``.
        source: What to call the file in messages.

    Returns:
        The network in float64 (a superset of what files hold), in evaluation mode, without
        gradients.

    Raises:
        CheckpointError: For a missing or surplus tensor, a type or shape that contradicts the
            configuration, or a value that is not finite.
    """
    network = M3GNet(config).to(torch.float64)
    expected = network.state_dict()
    missing = sorted(set(expected) - set(arrays))
    surplus = sorted(set(arrays) - set(expected))
    if missing or surplus:
        what = f"lacks {missing[0]}" if missing else f"holds an unexpected {surplus[0]}"
        raise CheckpointError(
            f"{source} {what} ({len(missing)} missing, {len(surplus)} unexpected tensors)",
            hint="the configuration beside the weights belongs to another model",
        )
    state = {}
    for name, like in expected.items():
        value = as_float64(arrays[name], f"{source}: {name}")
        if value.shape != like.shape:
            raise CheckpointError(
                f"{source}: {name} has shape {tuple(value.shape)}, "
                f"but the configuration needs {tuple(like.shape)}",
                hint="the configuration beside the weights belongs to another model",
            )
        if not torch.isfinite(value).all():
            raise CheckpointError(
                f"{source}: {name} holds values that are not finite", hint="the training diverged"
            )
        state[name] = value
    network.load_state_dict(state)
    return network.eval().requires_grad_(requires_grad=False)
