from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from m3compress.contract.tables import RawOutputs
from m3compress.engines.artefact import load_artefact
from m3compress.engines.base import complete
from m3compress.errors import StructureError


def outputs(n_atoms: int) -> RawOutputs:
    return RawOutputs(
        energies=np.ones(n_atoms, np.float32),
        forces=np.zeros((n_atoms, 3), np.float32),
        virial=np.zeros((3, 3), np.float32),
    )


def test_large_sums_keep_their_digits(artefact: Path) -> None:
    manifest = load_artefact(artefact).manifest
    species = np.zeros(100_000, dtype=np.int64)
    result = complete(manifest, species, outputs(100_000))
    assert result.energy == pytest.approx(100_000 * (1 - 1003.0) + 0.25, abs=1e-6)


@pytest.mark.parametrize("field", ["energies", "forces"])
def test_the_first_atom_that_is_not_finite_is_named(artefact: Path, field: str) -> None:
    manifest = load_artefact(artefact).manifest
    bad = outputs(4)
    getattr(bad, field)[2] = np.nan
    getattr(bad, field)[3] = np.inf
    with pytest.raises(StructureError, match=r"atom 2 \(O, counting from 0\)"):
        complete(manifest, np.array([0, 0, 1, 0]), bad)


def test_virial_that_is_not_finite(artefact: Path) -> None:
    bad = outputs(1)
    bad.virial[0, 1] = np.inf
    with pytest.raises(StructureError, match="virial"):
        complete(load_artefact(artefact).manifest, np.array([0]), bad)


def test_virials_of_atoms_are_added_in_float64(artefact: Path) -> None:
    raw = outputs(4)
    parts = np.zeros((4, 3, 3), np.float32)
    parts[:, 0, 0] = 1e8, 1.0, 1.0, -1e8
    found = complete(
        load_artefact(artefact).manifest, np.array([0, 0, 1, 0]), replace(raw, virial=parts)
    )
    assert found.virial[0, 0] == 2.0
    assert not found.virial[1:].any()
