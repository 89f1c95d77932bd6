"""MD codes that may be absent; in continuous integration they may not."""

from __future__ import annotations

import importlib
import os
import warnings
from types import ModuleType

import pytest


def require(module: str) -> ModuleType:
    """Import a code, or skip what stands behind this line of a module."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a code deprecates is its own business
            return importlib.import_module(module)
    except ImportError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{module} cannot be imported: {error}", allow_module_level=True)
