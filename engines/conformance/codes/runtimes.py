"""The runtimes by themselves, without an MD code."""

from __future__ import annotations

from pathlib import Path

from m3compress.contract.backends import backend_named
from m3compress.engines.artefact import load_artefact
from m3compress.engines.conformance.code import OF_RUNTIMES, Bare
from m3compress.engines.evaluator import ArtefactEvaluator
from m3compress.errors import ArtefactError


def onnxruntime(path: Path, threads: int | None) -> Bare:
    """An ONNX graph in ONNX Runtime.

    Raises:
        ArtefactError: If it is none.
    """
    return _open(path, threads, "onnx")


def native(path: Path, threads: int | None) -> Bare:
    """A native file in the C++ core.

    Raises:
        ArtefactError: If it is none.
        MissingDependencyError: If the core was not built.
    """
    return _open(path, threads, "native")


def tensorrt(path: Path, threads: int | None) -> Bare:
    """A plan in TensorRT or TensorRT-RTX.

    Raises:
        ArtefactError: If it is none.
        MissingDependencyError: If TensorRT or a GPU is missing.
    """
    return _open(path, threads, "tensorrt", "tensorrt-rtx")


def _open(path: Path, threads: int | None, *backends: str) -> Bare:
    manifest = load_artefact(path).manifest
    backend = backend_named(manifest.backend)
    if backend.name not in backends:
        raise ArtefactError(
            f"{path.name} is a {backend.file}, expected a {backend_named(backends[0]).file}",
            hint=f"{backend.title} runs it",
        )
    evaluator = ArtefactEvaluator(path, device=backend.devices[0], threads=threads)
    gives = OF_RUNTIMES if manifest.has_atom_virials else OF_RUNTIMES - {"virials of atoms"}
    return Bare(evaluator, evaluator.description, gives=gives)
