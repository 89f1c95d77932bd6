"""Run a ``.plan`` with TensorRT or TensorRT-RTX on an NVIDIA GPU.

Every step copies the tables to the GPU and the results back. :meth:`TensorRTEngine.run` has never
run on a GPU: the one at hand, an NVIDIA H100, has the compute capability 9.0, on which TensorRT-RTX
1.7 loads no plan (8.0, 8.6, 8.9, 12.0 and later are what it supports). The tests cover imports,
error paths, the choice of the profile, and the order of the calls against stand-ins for TensorRT
and CUDA.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from m3compress.contract.backends import Backend, Device, backend_named
from m3compress.contract.manifest import OUTPUT_NAMES, Manifest
from m3compress.contract.tables import RawOutputs, TableInputs
from m3compress.engines.artefact import Artefact
from m3compress.engines.runtimes.cuda_memory import CudaMemory
from m3compress.errors import ArtefactError, CapacityError, M3CompressError, MissingDependencyError

Shape = tuple[int, ...]
#: Smallest and largest shape of every input.
ShapeRange = dict[str, tuple[Shape, Shape]]


class TensorRTEngine:
    """A deserialized plan with its execution context and buffers on the GPU.

    Args:
        artefact: From :func:`~m3compress.engines.artefact.load_artefact`.
        device: ``cuda``, on which alone plans run.
        threads: Unused: the GPU does the work.

    Raises:
        MissingDependencyError: If TensorRT, cuda-bindings or a GPU is missing.
        ArtefactError: If this TensorRT or this GPU cannot load the plan.
    """

    def __init__(
        self, artefact: Artefact, *, device: Device = "cuda", threads: int | None = None
    ) -> None:
        del threads
        self._manifest = artefact.manifest
        self._device = device
        self._backend = backend_named(artefact.manifest.backend)
        self._trt = _import_tensorrt(self._backend)
        self._memory = CudaMemory()
        self._errors: list[str] = []
        # Logger, runtime and engine must live as long as the context does.
        self._log = _collecting_log(self._trt, self._errors)
        self._runtime = self._trt.Runtime(self._log)
        self._engine = self._runtime.deserialize_cuda_engine(artefact.path.read_bytes())
        if self._engine is None:
            raise ArtefactError(
                f"{self._trt.__name__} {self._trt.__version__} cannot load {artefact.path.name}: "
                f"{self._reason()}",
                hint="plans fit one TensorRT and the GPUs that it supports: build it here, "
                "or use the .m3c.onnx, which ONNX Runtime runs on GPUs as well",
            )
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        self._inputs = [name for name in names if name not in OUTPUT_NAMES]
        self._profiles = _read_profiles(self._engine, self._inputs)
        self._profile = 0
        self._context = self._engine.create_execution_context()

    @property
    def manifest(self) -> Manifest:
        """The manifest beside the file."""
        return self._manifest

    @property
    def description(self) -> str:
        """Version and device."""
        return f"{self._backend.title} {self._trt.__version__}, {self._device}"

    def run(self, inputs: TableInputs) -> RawOutputs:
        """Evaluate the plan.

        Raises:
            CapacityError: If no optimisation profile covers the size of the structure.
            M3CompressError: If CUDA or TensorRT fails.
        """
        feed = {name: array for name, array in inputs.feed().items() if name in self._inputs}
        self._use_profile(choose_profile(self._profiles, {n: a.shape for n, a in feed.items()}))
        staged = {n: np.ascontiguousarray(a, self._dtype(n)) for n, a in feed.items()}
        for name, array in staged.items():
            self._context.set_input_shape(name, array.shape)
            self._memory.upload(self._bind(name, array.nbytes), array)
        results: dict[str, npt.NDArray[Any]] = {}
        for name in OUTPUT_NAMES:
            shape = tuple(self._context.get_tensor_shape(name))
            results[name] = np.empty(shape, self._dtype(name))
        pointers = {name: self._bind(name, array.nbytes) for name, array in results.items()}
        if not self._context.execute_async_v3(self._memory.stream):
            raise M3CompressError(f"TensorRT failed: {self._reason()}", hint="see `nvidia-smi`")
        for name, array in results.items():
            self._memory.download(array, pointers[name])
        # ``staged`` lives until here, because the copies to the GPU may read it until now.
        self._memory.synchronize()
        return RawOutputs(*(results[n].astype(np.float32, copy=False) for n in OUTPUT_NAMES))

    def close(self) -> None:
        """Free the buffers on the GPU; a later run allocates them again."""
        self._memory.close()

    def _reason(self) -> str:
        """What TensorRT logged first since it was last asked."""
        reason = self._errors[0] if self._errors else "it does not say why"
        self._errors.clear()
        return reason

    def _use_profile(self, profile: int) -> None:
        if profile == self._profile:
            return
        if not self._context.set_optimization_profile_async(profile, self._memory.stream):
            raise M3CompressError(f"TensorRT refused its own optimisation profile {profile}")
        self._profile = profile

    def _dtype(self, name: str) -> npt.DTypeLike:
        dtype: npt.DTypeLike = self._trt.nptype(self._engine.get_tensor_dtype(name))
        return dtype

    def _bind(self, name: str, n_bytes: int) -> int:
        pointer = self._memory.reserve(name, n_bytes)
        self._context.set_tensor_address(name, pointer)
        return pointer


def _collecting_log(trt: Any, errors: list[str]) -> Any:
    """A logger of TensorRT that keeps its errors, for its calls only return that they failed."""

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                errors.append(message)

    return Log()


def choose_profile(profiles: Sequence[ShapeRange], shapes: dict[str, Shape]) -> int:
    """Index of the tightest optimisation profile that covers all shapes.

    Raises:
        CapacityError: If there is none.
    """
    fitting = [index for index, profile in enumerate(profiles) if _covers(profile, shapes)]
    if not fitting:
        ranges = "; ".join(f"{p['edge_vectors'][0]} to {p['edge_vectors'][1]}" for p in profiles)
        raise CapacityError(
            f"(n_atoms, K, 3) is {shapes['edge_vectors']}, the plan was built for {ranges}",
            hint="build the plan again with a profile for this size, or use the .m3c.onnx",
        )
    return min(fitting, key=lambda index: np.prod(profiles[index]["edge_vectors"][1], dtype=float))


def _covers(profile: ShapeRange, shapes: dict[str, Shape]) -> bool:
    return all(
        low <= size <= high
        for name, shape in shapes.items()
        for low, size, high in zip(profile[name][0], shape, profile[name][1], strict=True)
    )


def _read_profiles(engine: Any, inputs: Sequence[str]) -> list[ShapeRange]:
    profiles = []
    for index in range(engine.num_optimization_profiles):
        shapes = {name: engine.get_tensor_profile_shape(name, index) for name in inputs}
        profiles.append(
            {name: (tuple(low), tuple(high)) for name, (low, _, high) in shapes.items()}
        )
    return profiles


def _import_tensorrt(backend: Backend) -> ModuleType:
    module = backend.import_runtime()
    if module is None:
        raise MissingDependencyError(
            f"the plan needs {backend.name}, which is not installed", hint=backend.install
        )
    return module
