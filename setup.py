"""Compile the native core while a wheel is built; everything else stands in pyproject.toml.

``M3COMPRESS_NATIVE`` is ``auto`` (compile where a C++ compiler is found; the default), ``0`` (leave
it out) or ``required`` (fail without it). The core is called by ctypes: a wheel fits every
Python of its platform, and any platform if it holds no library.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

_CORE = Path("engines") / "native" / "build.py"
_MODE = os.environ.get("M3COMPRESS_NATIVE", "auto")


def _builder() -> ModuleType:
    """The module that compiles; the package itself cannot be imported before it is built."""
    spec = importlib.util.spec_from_file_location("m3compress_native_build", _CORE)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(_CORE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class _BuildPy(build_py):
    """Copies the sources, then compiles the library beside them."""

    def run(self) -> None:
        super().run()
        if _MODE == "0" or self.editable_mode:
            return
        builder = _builder()
        try:
            folder = Path(self.build_lib) / "m3compress" / "engines" / "native"
            self.announce(f"compiled {builder.build_library(folder)}", level=2)
        except builder.BuildError as error:
            if _MODE == "required":
                raise
            self.announce(f"without the native core: {error}; {error.hint}", level=3)


class _BdistWheel(bdist_wheel):
    """Names the platform of the library, but no version of Python."""

    def get_tag(self) -> tuple[str, str, str]:
        if self.distribution.has_ext_modules():
            return ("py3", "none", super().get_tag()[2])
        return super().get_tag()


class _Distribution(Distribution):
    """One that has a library of its own where one can be compiled."""

    def has_ext_modules(self) -> Any:
        return _MODE != "0" and _builder().find_compiler() is not None


setup(
    cmdclass={"build_py": _BuildPy, "bdist_wheel": _BdistWheel},
    distclass=_Distribution,
)
