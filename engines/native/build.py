"""Compile libm3c: one library that holds a build for every instruction set.

Needs nothing but the standard library, so that the build of a wheel can run it as a file.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).resolve().parent
#: Where a library goes that cannot stand beside its sources.
CACHE_VARIABLE: Final = "M3COMPRESS_CACHE"

#: Contraction into fused multiply-adds is the one liberty that compilers may take with numbers.
FLAGS: Final = (
    *("-std=c++17", "-O2", "-fPIC", "-fvisibility=hidden", "-ffp-contract=fast"),
    *("-Wall", "-Wextra", "-Werror", "-Wno-psabi"),
)
#: Namespace and flags of the builds of the engine. The order matters: of what the compiler emits in
#: several of them, the linker takes the first, which is the one that runs everywhere.
X86_BUILDS: Final = (
    ("baseline", ()),
    ("avx2", ("-mavx2", "-mfma", "-mtune=haswell")),
    ("avx512", ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma")),
)
_COMMON: Final = ("m3c", "file", "edges")


class BuildError(Exception):
    """The library cannot be built here; the message says why, ``hint`` what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C++ compiler.

    Attributes:
        command: How it is called.
        openmp: Whether it has OpenMP; threads of the standard library stand in where not.
    """

    command: tuple[str, ...]
    openmp: bool


def find_compiler() -> Compiler | None:
    """The compiler of ``CXX``, g++, clang++, or that of the package ``ziglang``; None without."""
    named = os.environ.get("CXX")
    candidates = [tuple(shlex.split(named))] if named else [("g++",), ("clang++",)]
    for command in candidates:
        if command and shutil.which(command[0]):
            return Compiler(command, _has_openmp(command))
    if not named and importlib.util.find_spec("ziglang") is not None:
        # Zig's own libraries lie in a cache that it fills on first use.
        return Compiler((sys.executable, "-m", "ziglang", "c++"), openmp=False)
    return None


def library_name() -> str:
    """File name of the library of these sources: another one for every change of them."""
    digest = hashlib.sha256()
    for path in sorted([*SOURCES.glob("*.h"), *SOURCES.glob("*.cpp"), SOURCES / "build.py"]):
        digest.update(path.name.encode() + path.read_bytes())
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    return f"libm3c-{digest.hexdigest()[:12]}{suffix}"


def cache_folder() -> Path:
    """Where libraries go that were built after the installation."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "m3compress"


def build_library(
    folder: Path,
    compiler: Compiler | None = None,
    *,
    machine: str | None = None,
    extra: Sequence[str] = (),
    report: Callable[[str], None] = lambda _: None,
) -> Path:
    """Compile and link; the library appears in ``folder`` whole or not at all.

    Args:
        folder: Where to; made if it is not there.
        compiler: By default the one that :func:`find_compiler` finds.
        machine: For which processor, as :func:`platform.machine` names them; None for this one.
        extra: More flags, for the compiler and the linker.
        report: Told what is compiled.

    Raises:
        BuildError: If there is no compiler, or it fails.
    """
    compiler = compiler or find_compiler()
    if compiler is None:
        raise BuildError(
            "no C++ compiler was found (looked for $CXX, g++, clang++ and the package ziglang)",
            "install one, for instance with `apt install g++` or "
            "`pip install 'm3compress[native]'`, then run `m3compress native build`",
        )
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / library_name()
    with tempfile.TemporaryDirectory(prefix=".m3c-", dir=folder) as scratch:
        made = Path(scratch) / target.name
        flags = (*(("-fopenmp",) if compiler.openmp else ("-pthread",)), *extra)
        units = _units(Path(scratch), machine or platform.machine())
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            jobs = [
                pool.submit(_run, (*compiler.command, *FLAGS, *flags, *own, "-c", *files), report)
                for own, files in units
            ]
            for job in jobs:
                job.result()
        objects = [files[-1] for _, files in units]
        _run((*compiler.command, "-shared", *flags, *objects, "-o", str(made)), report)
        made.replace(target)
    return target


def _units(scratch: Path, machine: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Flags of their own and (source, -o, object) of everything that is compiled."""
    x86 = machine.lower() in ("x86_64", "amd64")
    builds = X86_BUILDS if x86 else X86_BUILDS[:1]
    own = ("-DM3C_X86",) if x86 else ()

    def files(source: str, name: str) -> tuple[str, ...]:
        return str(SOURCES / f"{source}.cpp"), "-o", str(scratch / f"{name}.o")

    return [
        *((own, files(name, name)) for name in _COMMON),
        *(((f"-DM3C_ISA={isa}", *flags), files("engine", isa)) for isa, flags in builds),
    ]


def _run(command: Sequence[str], report: Callable[[str], None]) -> None:
    report(shlex.join(command))
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BuildError(f"{command[0]} cannot be run: {error}", "check $CXX") from error
    if done.returncode:
        raise BuildError(
            f"{command[0]} failed: {done.stderr.strip()[-2000:]}",
            "a compiler of C++17 is needed (g++ 9, clang 10 or newer); set $CXX to another one",
        )


def _has_openmp(command: Sequence[str]) -> bool:
    """Whether a compiler can link a program that uses OpenMP."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "probe.cpp"
        source.write_text("#include <omp.h>\nint main() { return omp_get_num_threads() - 1; }\n")
        try:
            done = subprocess.run(
                (*command, "-fopenmp", str(source), "-o", str(Path(scratch) / "probe")),
                capture_output=True,
                check=False,
            )
        except OSError:
            return False
        return done.returncode == 0
