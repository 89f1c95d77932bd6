"""Buffers on an NVIDIA GPU through ``cuda-bindings``; no deep-learning framework."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from m3compress.errors import M3CompressError, MissingDependencyError


class CudaMemory:
    """Named buffers that grow, and one stream on which all copies run.

    Raises:
        MissingDependencyError: If cuda-bindings or a GPU is missing.
    """

    def __init__(self) -> None:
        self._cuda = _import_cuda()
        self._stream = self._check(self._cuda.cudaStreamCreate())
        self._buffers: dict[str, tuple[int, int]] = {}

    @property
    def stream(self) -> int:
        """Handle of the stream."""
        return int(self._stream)

    def reserve(self, name: str, n_bytes: int) -> int:
        """Address on the GPU of at least ``n_bytes`` under this name; old content may be lost.

        Raises:
            M3CompressError: If the GPU has not enough memory.
        """
        pointer, size = self._buffers.get(name, (0, 0))
        if size < n_bytes:
            if pointer:
                del self._buffers[name]
                self._check(self._cuda.cudaFree(pointer))
            size = n_bytes + n_bytes // 4  # room to grow: K changes along a trajectory
            pointer = self._check(self._cuda.cudaMalloc(size))
            self._buffers[name] = pointer, size
        return pointer

    def upload(self, pointer: int, array: npt.NDArray[np.generic]) -> None:
        """Copy a contiguous array to the GPU; it must stay alive until :meth:`synchronize`."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._copy(pointer, array.ctypes.data, array.nbytes, kind)

    def download(self, array: npt.NDArray[np.generic], pointer: int) -> None:
        """Fill a contiguous array from the GPU; it is complete after :meth:`synchronize`."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._copy(array.ctypes.data, pointer, array.nbytes, kind)

    def synchronize(self) -> None:
        """Wait for everything on the stream."""
        self._check(self._cuda.cudaStreamSynchronize(self._stream))

    def close(self) -> None:
        """Free all buffers."""
        while self._buffers:
            _, (pointer, _) = self._buffers.popitem()
            self._check(self._cuda.cudaFree(pointer))

    def _copy(self, target: int, source: int, n_bytes: int, kind: Any) -> None:
        self._check(self._cuda.cudaMemcpyAsync(target, source, n_bytes, kind, self._stream))

    def _check(self, returned: tuple[Any, ...]) -> Any:
        """Value of a CUDA call, which returns (status, value) or (status,)."""
        status, *values = returned
        if int(status) != 0:
            _, text = self._cuda.cudaGetErrorString(status)
            raise M3CompressError(
                f"CUDA failed: {text.decode()}",
                hint="see `nvidia-smi`: the GPU may be out of memory, or used by others",
            )
        return values[0] if values else None


def _import_cuda() -> ModuleType:
    try:
        cuda = importlib.import_module("cuda.bindings.runtime")
    except ImportError as error:
        raise MissingDependencyError(
            "running a TensorRT plan needs cuda-bindings, which is not installed",
            hint="`pip install 'm3compress[tensorrt]'`",
        ) from error
    status, count = cuda.cudaGetDeviceCount()
    if int(status) != 0 or not count:
        raise MissingDependencyError(
            f"a TensorRT plan runs on an NVIDIA GPU and none is visible ({status.name})",
            hint="check `nvidia-smi`, or use the .m3c.onnx on the CPU",
        )
    return cuda
