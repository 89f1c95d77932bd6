"""The table of backends: kinds of exported files, and the engines that run them.

A new engine is a module that opens its files, one row here, and its test; see
``docs/extending.md``. Modules are named, not imported: this one costs nothing to import.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

from m3compress.contract.rows import row_named
from m3compress.errors import UnknownNameError

#: Where an engine may run.
Device = Literal["cpu", "cuda"]
DEVICES: Final[tuple[Device, ...]] = ("cpu", "cuda")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A kind of exported file, and what runs it.

    Attributes:
        name: As in manifests.
        title: What runs it, for people: "TensorRT-RTX".
        file: What one of its files is called in messages: "TensorRT plan".
        suffix: What the names of its files end in; several backends may share one.
        devices: Where it runs, the preferred one first.
        engine: Opens a file, as ``module:name``; see
            :class:`~m3compress.engines.base.OpensArtefact`.
        modules: Python modules that any one of which runs it, in the order in which to try them.
        install: How to get one of them.
        is_graph: Whether its files are ONNX graphs, which can be read and checked.
        is_model: Whether its files are models as well, which can be read back; one is an exported
            file if its manifest stands beside it.
        manifest: What stands in place of ``extension`` in the name of the manifest. A model that is
            one of these files keeps apart from what was exported from it under the same name.
        options: What its engine can be told besides device and threads.
    """

    name: str
    title: str
    file: str
    suffix: str
    devices: tuple[Device, ...]
    engine: str
    modules: tuple[str, ...] = ()
    install: str = ""
    is_graph: bool = False
    is_model: bool = False
    manifest: str = ".json"
    options: tuple[str, ...] = ()

    @property
    def extension(self) -> str:
        """The last part of the suffix, which :meth:`pathlib.Path.with_suffix` takes."""
        return f".{self.suffix.rpartition('.')[2]}"

    def load_engine_opener(self) -> Any:
        """The callable that ``engine`` names."""
        module, _, name = self.engine.partition(":")
        return getattr(importlib.import_module(module), name)

    def import_runtime(self) -> ModuleType | None:
        """The first of ``modules`` that is installed; None if none is."""
        for module in self.modules:
            try:
                return importlib.import_module(module)
            except ImportError:
                continue
        return None


_TENSORRT: Final = "m3compress.engines.runtimes.tensorrt:TensorRTEngine"

#: Every kind of exported file.
BACKENDS: Final[tuple[Backend, ...]] = (
    Backend(
        name="onnx",
        title="ONNX Runtime",
        file="ONNX graph",
        suffix=".m3c.onnx",
        devices=("cpu", "cuda"),
        engine="m3compress.engines.runtimes.onnxruntime:OnnxRuntimeEngine",
        modules=("onnxruntime",),
        install="`pip install onnxruntime`",
        is_graph=True,
    ),
    Backend(
        name="tensorrt",
        title="TensorRT",
        file="TensorRT plan",
        suffix=".plan",
        devices=("cuda",),
        engine=_TENSORRT,
        modules=("tensorrt",),
        install="see NVIDIA's guide",
    ),
    Backend(
        name="tensorrt-rtx",
        title="TensorRT-RTX",
        file="TensorRT plan",
        suffix=".plan",
        devices=("cuda",),
        engine=_TENSORRT,
        # The meta-package re-exports the bindings; the bindings alone are what PyPI has as a wheel.
        modules=("tensorrt_rtx", "tensorrt_rtx_bindings"),
        install="`pip install 'm3compress[tensorrt]'`",
    ),
    Backend(
        name="native",
        title="libm3c",
        file="native file",
        suffix=".m3c.safetensors",
        devices=("cpu",),
        engine="m3compress.engines.runtimes.native:NativeEngine",
        install="`m3compress native build`",
        is_model=True,
        manifest=".native.json",
        options=("precision", "memory"),
    ),
)

#: Graphs and engines that other programs write: no checkpoints, and nothing that we can run.
_FOREIGN_SUFFIXES: Final = (".onnx", ".engine")


def backend_named(name: str) -> Backend:
    """The row of a backend.

    Raises:
        UnknownNameError: If there is none of that name; those that exist are named.
    """
    return row_named(BACKENDS, "engine", name)


def device_named(name: str) -> Device:
    """A device by its name.

    Raises:
        UnknownNameError: If it is none of :data:`DEVICES`, which are named.
    """
    for device in DEVICES:
        if device == name:
            return device
    raise UnknownNameError("device", name, DEVICES)


def artefact_suffixes() -> tuple[str, ...]:
    """What the names of exported files end in."""
    return tuple(dict.fromkeys(backend.suffix for backend in BACKENDS))


def artefact_patterns() -> str:
    """The same for messages: "*.m3c.onnx or *.plan"."""
    return " or ".join(f"*{suffix}" for suffix in artefact_suffixes())


def looks_exported(name: str) -> bool:
    """Whether a file name can be nothing but that of an exported file or of its manifest.

    Ours or a foreign one; files that are models as well do not count, see :func:`is_exported`.
    """
    pure = (backend.suffix for backend in BACKENDS if not backend.is_model)
    manifests = (f".m3c{backend.manifest}" for backend in BACKENDS)
    return name.endswith((*pure, *manifests, *_FOREIGN_SUFFIXES))


def is_exported(path: str | Path) -> bool:
    """Whether a path is that of an exported file: by its name, or by the manifest beside it."""
    path = Path(path).expanduser()
    if looks_exported(path.name):
        return True
    return path.name.endswith(artefact_suffixes()) and manifest_path(path).is_file()


def manifest_path(artefact: Path) -> Path:
    """Where the manifest of an exported file stands: ``model.m3c.onnx`` → ``model.m3c.json``."""
    named = [row.manifest for row in BACKENDS if artefact.name.endswith(row.suffix)]
    return artefact.with_suffix(named[0] if named else ".json")
