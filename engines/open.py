"""Open an exported file with the runtime that its manifest names."""

from __future__ import annotations

from pathlib import Path

from m3compress.engines.artefact import load_artefact
from m3compress.engines.base import Engine
from m3compress.engines.runtimes.onnxruntime import Device, OnnxRuntimeEngine
from m3compress.engines.runtimes.tensorrt import TensorRTEngine
from m3compress.errors import ArtefactError


def load_engine(path: str | Path, *, device: Device = "cpu", threads: int | None = None) -> Engine:
    """Check and load an exported file.

    Args:
        path: A ``.m3c.onnx``, a ``.plan`` or their ``.m3c.json``.
        device: Where to run.
        threads: Threads of one run on the CPU; None for all physical cores.

    Raises:
        ArtefactError: If the file is damaged, not ours, or not one for this device.
        MissingDependencyError: If its runtime or the device is missing.
        ValueError: If ``device`` or ``threads`` is not one of the above.
    """
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device is {device!r}, expected 'cpu' or 'cuda'")
    artefact = load_artefact(path)
    if artefact.manifest.backend == "onnx":
        return OnnxRuntimeEngine(artefact, device=device, threads=threads)
    if device != "cuda":
        raise ArtefactError(
            f"{artefact.path.name} is a TensorRT plan and runs on GPUs only, got device={device!r}",
            hint="pass device='cuda', or use the .m3c.onnx",
        )
    return TensorRTEngine(artefact)
