"""A repeated cell says what the cell says, as often."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from m3compress.engines.evaluator import ArtefactEvaluator
from m3compress.models.structures.crystals import build_crystal


@pytest.fixture(scope="module")
def engine(silica_artefact):
    return ArtefactEvaluator(silica_artefact, threads=1)


@pytest.fixture(scope="module")
def cell():
    atoms = build_crystal("SiO2-quartz")
    atoms.rattle(0.05, seed=1)
    return atoms


def test_an_exported_file_tiles(engine, cell):
    expected, got = engine.evaluate(cell).repeated(6), engine.evaluate(cell.repeat((3, 1, 2)))
    np.testing.assert_allclose(got.energies, expected.energies, atol=1e-5)
    np.testing.assert_allclose(got.forces, expected.forces, atol=1e-4)
    np.testing.assert_allclose(got.virial, expected.virial, atol=1e-3)
    assert abs(got.energy - expected.energy) < 1e-4


def test_a_constant_counts_once(engine, cell):
    result = engine.evaluate(cell)
    shifted = replace(result, energy=result.energy + 7.0)
    assert np.isclose(shifted.repeated(5).energy, result.repeated(5).energy + 7.0)
