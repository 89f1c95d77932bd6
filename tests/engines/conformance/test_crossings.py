"""One pair of atoms exactly at a cutoff, and no other."""

from __future__ import annotations

import numpy as np
import pytest

from m3compress.contract.neighbors import find_edges
from m3compress.engines.conformance.crossings import find_crossing
from m3compress.models.structures.crystals import build_crystal


@pytest.mark.parametrize("cutoff", [4.0, 5.0])
def test_exactly_one_pair_is_at_the_cutoff(cutoff):
    atoms = build_crystal("SiO2-quartz")
    atoms.rattle(0.1, seed=0)
    crossing = find_crossing(atoms, cutoff, np.random.default_rng(0))
    _, vectors = find_edges(crossing.atoms, cutoff + 0.1)
    lengths = np.sort(np.abs(np.linalg.norm(vectors, axis=1) - cutoff))
    assert lengths[:2] == pytest.approx([0, 0], abs=1e-9)
    assert lengths[2] > 4e-3
    outside = crossing.atoms.copy()
    outside.positions[crossing.mover] += 1e-3 * crossing.direction
    counts = [len(find_edges(a, cutoff + 1e-6)[0].centers) for a in (crossing.atoms, outside)]
    assert counts[0] - counts[1] == 2
