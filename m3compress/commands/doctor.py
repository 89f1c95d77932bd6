"""``m3compress doctor``: what is installed, what it can run on, what is missing."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
from dataclasses import asdict, dataclass
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version
from rich.table import Table

from m3compress import __version__
from m3compress.console import print_json, stdout, wide
from m3compress.extras import install_command

DISTRIBUTION: Final = "m3compress"
#: Extras that only bundle others, or are for those who work on this package.
BUNDLES: Final = frozenset({"all", "dev"})
#: Packages that are known to be there and yet fail to load; these are imported, not only looked up.
#: Distribution name to import name.
IMPORTED: Final = {
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "onnxruntime-gpu": "onnxruntime",
    "torch": "torch",
    "tensorrt-rtx-cu13-bindings": "tensorrt_rtx_bindings",
}
#: Distributions that bring the same import package.
SUBSTITUTES: Final = {"onnxruntime": ("onnxruntime-gpu",)}
NVIDIA_SMI_TIMEOUT: Final = 20.0  # s


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One requirement and what is installed of it.

    Attributes:
        name: Distribution name.
        extra: Extra that asks for it, or None for the base install.
        required: Version specifier, such as ``>=1.20,<2``.
        installed: Version, or None if it is absent.
        problem: What is wrong with it, or None.
    """

    name: str
    extra: str | None
    required: str
    installed: str | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Everything that ``doctor`` shows."""

    m3compress: str
    python: str
    platform: str
    cpus: int
    packages: tuple[Package, ...]
    providers: tuple[str, ...]
    tensorrt: str | None
    gpus: tuple[str, ...]
    native: str

    @property
    def broken(self) -> tuple[Package, ...]:
        """Packages of the base install that are absent or do not work."""
        return tuple(package for package in self.packages if not package.extra and package.problem)

    @property
    def incomplete_extras(self) -> tuple[str, ...]:
        """Extras of which something is absent or does not work."""
        return tuple(dict.fromkeys(p.extra for p in self.packages if p.extra and p.problem))


def run(*, as_json: bool) -> int:
    """Show the diagnosis on stdout.

    Returns:
        0 if the base install works, 1 if it does not. Missing extras are not a failure.
    """
    diagnosis = diagnose()
    if as_json:
        extras = {extra: install_command(extra) for extra in diagnosis.incomplete_extras}
        print_json({**asdict(diagnosis), "install": extras, "healthy": not diagnosis.broken})
    else:
        _show(diagnosis)
    return 1 if diagnosis.broken else 0


def diagnose() -> Diagnosis:
    """Look at this machine and this environment."""
    return Diagnosis(
        m3compress=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        cpus=_usable_cpus(),
        packages=tuple(_packages()),
        providers=_providers(),
        tensorrt=_version("tensorrt"),
        gpus=_gpus(),
        native=_native(),
    )


def _packages() -> list[Package]:
    """The requirements in this package's own metadata that count on this machine, base first."""
    metadata = importlib.metadata.metadata(DISTRIBUTION)
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist") or ()]
    extras = [extra for extra in metadata.get_all("Provides-Extra") or () if extra not in BUNDLES]
    return [
        _look_up(requirement.name, extra, str(requirement.specifier))
        for extra in (None, *extras)
        for requirement in requirements
        if requirement.name != DISTRIBUTION and _belongs(requirement, extra)
    ]


def _belongs(requirement: Requirement, extra: str | None) -> bool:
    """Whether an extra asks for it here, or, without one, the base install."""
    if requirement.marker is None:
        return extra is None
    in_base = requirement.marker.evaluate({"extra": ""})
    if extra is None:
        return in_base
    return not in_base and requirement.marker.evaluate({"extra": extra})


def _look_up(name: str, extra: str | None, required: str) -> Package:
    versions = map(_version, (name, *SUBSTITUTES.get(name, ())))
    installed = next((version for version in versions if version), None)
    if installed is None:
        problem: str | None = "not installed"
    elif not _meets(installed, required):
        problem = f"needs {required}"
    else:
        problem = _import_problem(IMPORTED.get(name))
    return Package(name=name, extra=extra, required=required, installed=installed, problem=problem)


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _import_problem(module: str | None) -> str | None:
    if module is None:
        return None
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever a broken binary package raises
        return f"does not load: {(str(error).splitlines() or [repr(error)])[0]}"
    return None


def _meets(installed: str, required: str) -> bool:
    """Whether a version meets a specifier; a pre-release counts where it stands in the order."""
    try:
        version = Version(installed)
    except InvalidVersion:
        return False
    return SpecifierSet(required).contains(version, prereleases=True)


def _usable_cpus() -> int:
    """CPUs that this process may use, which in a container are fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _providers() -> tuple[str, ...]:
    """Execution providers that this build of ONNX Runtime has."""
    try:
        import onnxruntime
    except Exception:  # already among the packages, with its message
        return ()
    return tuple(onnxruntime.get_available_providers())


def _native() -> str:
    """The library of the native core, or what is missing for it."""
    try:
        from m3compress.engines.native.build import find_compiler
        from m3compress.engines.native.library import find_library, load_library

        library = find_library()
        if library is not None:
            load_library()
            return str(library)
        compiler = find_compiler()
    except Exception as error:  # a library that does not load, or no NumPy to bind it with
        return str(error)
    if compiler is None:
        return (
            "not built, and no C++ compiler was found: install g++, or "
            "`pip install 'm3compress[native]'`; then `m3compress native build`"
        )
    return f"not built: `m3compress native build` builds it with {compiler.command[0]}"


def _gpus() -> tuple[str, ...]:
    """One line per NVIDIA GPU: name, memory, compute capability, driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = "--query-gpu=name,memory.total,compute_cap,driver_version"
    try:
        answer = subprocess.run(
            [program, query, "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=NVIDIA_SMI_TIMEOUT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return (f"nvidia-smi failed: {error}",)
    return tuple(line.strip() for line in answer.stdout.splitlines() if line.strip())


def _show(diagnosis: Diagnosis) -> None:
    console = stdout()
    console.print(f"m3compress {diagnosis.m3compress} | Python {diagnosis.python}")
    console.print(f"{diagnosis.platform} | {diagnosis.cpus} CPUs")
    wide().print(_table(diagnosis.packages))
    console.print(f"ONNX Runtime providers: {', '.join(diagnosis.providers) or 'none'}")
    console.print(f"TensorRT (not RTX): {diagnosis.tensorrt or 'not installed'}")
    console.print(f"native core: {diagnosis.native}", markup=False)
    if not diagnosis.gpus:
        console.print("GPUs: none found (no nvidia-smi); exported files run on the CPU")
    for gpu in diagnosis.gpus:
        console.print(f"GPU: {gpu}")
    if diagnosis.broken:
        names = ", ".join(package.name for package in diagnosis.broken)
        console.print(f"\nthe base install does not work: {names}")
        console.print("hint: pip install --force-reinstall m3compress", markup=False)
    for extra in diagnosis.incomplete_extras:
        console.print(f"to complete {extra}: {install_command(extra)}", markup=False)


def _table(packages: tuple[Package, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("package", "extra", "installed"):
        table.add_column(heading, no_wrap=True)
    table.add_column("state", overflow="fold")
    for package in packages:
        style = "red" if package.problem and package.extra is None else None
        state = package.problem or "ok"
        installed = package.installed or "-"
        table.add_row(package.name, package.extra or "(base)", installed, state, style=style)
    return table
