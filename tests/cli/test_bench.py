"""``m3compress bench`` times, and has nothing to say of its own crystal."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from m3compress.api import export_model
from m3compress.benchmark import Candidate, benchmark_structure
from m3compress.engines.codes.ase import Calculator
from m3compress.errors import OverlapWarning


@pytest.mark.usefixtures("small_zoo")
def test_short_bonds_of_its_own_crystal_are_not_told(tmp_path: Path) -> None:
    path = tmp_path / "silica.m3c.onnx"
    export_model("builtin", path)
    _, atoms = benchmark_structure(("Si", "O"), 400)
    atoms.calc = Calculator(path, threads=1)
    with pytest.warns(OverlapWarning, match="O-Si is never closer"):
        atoms.get_forces()
    with warnings.catch_warnings():
        warnings.simplefilter("error", OverlapWarning)
        Candidate("m3compress", "artefact", str(path), 1).open().evaluate(atoms)
