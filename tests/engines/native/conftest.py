"""Files of untrained networks for the native core, which is built if it has to be."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from native_library import built_library
from random_networks import random_potential, write_native_artefact

from m3compress.models.potential import Potential

NativeModel = Callable[[str], tuple[Path, Potential]]


@pytest.fixture(scope="session", autouse=True)
def library() -> Path:
    return built_library()


@pytest.fixture(scope="session")
def native_model(tmp_path_factory: pytest.TempPathFactory) -> NativeModel:
    """``native_model(name)``: the file of one of the cases, and what it is of."""

    @cache
    def make(name: str) -> tuple[Path, Potential]:
        potential = random_potential(name)
        folder = tmp_path_factory.mktemp("native")
        return write_native_artefact(folder / "model.m3c.safetensors", potential), potential

    return make
