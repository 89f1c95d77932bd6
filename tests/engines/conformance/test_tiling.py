"""A repeated cell says what the cell says, as often."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ase.build import bulk

from m3compress.engines.conformance.tiling import tiled


def test_an_exported_file_tiles(probed):
    cell = bulk("NaCl", "rocksalt", a=5.6)
    cell.rattle(0.1, seed=1)
    larger = cell.repeat((3, 1, 2))
    expected, got = tiled(probed.evaluate(cell), 6), probed.evaluate(larger)
    np.testing.assert_allclose(got.energies, expected.energies, atol=1e-5)
    np.testing.assert_allclose(got.forces, expected.forces, atol=1e-4)
    np.testing.assert_allclose(got.virial, expected.virial, atol=1e-3)
    assert abs(got.energy - expected.energy) < 1e-4


def test_a_constant_counts_once(probed):
    result = probed.evaluate(bulk("NaCl", "rocksalt", a=5.6))
    shifted = replace(result, energy=result.energy + 7.0)
    assert np.isclose(tiled(shifted, 5).energy, tiled(result, 5).energy + 7.0)
