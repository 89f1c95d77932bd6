"""Open an exported file with the engine that its manifest names."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from m3compress.contract.backends import Device, backend_named, device_named
from m3compress.engines.artefact import Artefact, load_artefact
from m3compress.engines.base import Engine, OpensArtefact
from m3compress.errors import ArtefactError

_ONLY_ON: Final = {"cpu": "CPUs", "cuda": "GPUs"}


def load_engine(
    path: str | Path, *, device: Device = "cpu", threads: int | None = None, **options: str | None
) -> Engine:
    """Check and load an exported file.

    Args:
        path: An exported file (such as ``.m3c.onnx``), or its ``.m3c.json``.
        device: Where to run.
        threads: Threads of one run on the CPU; None for all physical cores.
        **options: What only some engines can be told, such as ``precision``; None for the default.

    Raises:
        ArtefactError: If the file is damaged, not ours, or not one for this device or option.
        MissingDependencyError: If its runtime or the device is missing.
        UnknownNameError: If there is no such device.
        ValueError: If ``threads`` is below 1.
    """
    device_named(device)
    artefact = load_artefact(path)
    require_runs_on(artefact, device)
    backend = backend_named(artefact.manifest.backend)
    given = {name: value for name, value in options.items() if value is not None}
    for name in given.keys() - set(backend.options):
        raise ArtefactError(
            f"{artefact.path.name} is a {backend.file} and takes no {name}={given[name]!r}",
            hint="`m3compress export MODEL --to native` writes a file that does",
        )
    open_artefact: OpensArtefact = backend.load_engine_opener()
    return open_artefact(artefact, device=device, threads=threads, **given)


def require_runs_on(artefact: Artefact, device: Device) -> None:
    """Refuse a file on a device on which its engine never runs.

    Raises:
        ArtefactError: If its engine is one for other devices.
    """
    backend = backend_named(artefact.manifest.backend)
    if device in backend.devices:
        return
    places = " or ".join(_ONLY_ON[name] for name in backend.devices)
    raise ArtefactError(
        f"{artefact.path.name} is a {backend.file} and runs on {places} only, "
        f"got device={device!r}",
        hint=f"pass device={backend.devices[0]!r} (--device {backend.devices[0]}), "
        "or use a file for another engine",
    )
