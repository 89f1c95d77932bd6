"""The built-in model as a native file, which evaluates batches with virials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from native_library import built_library
from random_networks import write_native_artefact

from m3compress.contract.forms import FACTORIZED
from m3compress.engines.evaluator import ArtefactEvaluator
from m3compress.models.potential import Potential


@pytest.fixture(scope="session")
def silica_native(made_once: Callable[..., Path], builtin_potential: Potential) -> Path:
    """The ``.m3c.safetensors`` of the built-in model, factorised; not to be changed."""
    built_library()
    name, potential = "silica.m3c.safetensors", builtin_potential.with_form(FACTORIZED)
    make = lambda folder: write_native_artefact(folder / name, potential)  # noqa: E731
    return made_once("silica-native", make) / name


@pytest.fixture(scope="session")
def silica(silica_native: Path) -> ArtefactEvaluator:
    return ArtefactEvaluator(silica_native, threads=1)
