"""Every element and every pair is shown, in few atoms."""

from __future__ import annotations

from collections import Counter
from itertools import combinations_with_replacement

import numpy as np
import pytest
from ase import Atoms
from ase.data import chemical_symbols

from m3compress.contract.neighbors import find_edges
from m3compress.models.structures.survey import (
    crowded_cell,
    dimers_of_all_pairs,
    element_crystals,
    random_alloys,
)

CUTOFF = 5.0
UNIVERSAL = tuple(chemical_symbols[1:90])
MODELS = pytest.mark.parametrize("elements", [("O", "Si"), UNIVERSAL], ids=["silica", "universal"])


def neighbors(atoms: Atoms) -> np.ndarray:
    return np.bincount(find_edges(atoms, CUTOFF)[0].centers, minlength=len(atoms))


@MODELS
def test_every_element_has_a_crystal_that_feels_forces(elements):
    crystals = element_crystals(elements, cutoff=CUTOFF, seed=0)
    assert [set(named.atoms.symbols) for named in crystals] == [{symbol} for symbol in elements]
    assert max(len(named.atoms) for named in crystals) < 16
    for named in crystals:
        assert named.atoms.pbc.all()
        assert neighbors(named.atoms).min() >= 1, named.name


@MODELS
def test_every_element_is_in_two_alloys_or_more(elements):
    alloys = random_alloys(elements, cutoff=CUTOFF, seed=0)
    counts = Counter(symbol for named in alloys for symbol in set(named.atoms.symbols))
    assert set(counts) == set(elements)
    assert min(counts.values()) >= 2
    assert len(alloys) <= 16
    assert all(len(named.atoms) == 16 for named in alloys)
    assert min(neighbors(named.atoms).min() for named in alloys) >= 6


@MODELS
def test_every_pair_is_shown_very_short_bonded_and_long(elements):
    frames = dimers_of_all_pairs(elements, cutoff=CUTOFF, seed=0)
    seen: dict[tuple[str, ...], list[float]] = {}
    for named in frames:
        edges, vectors = find_edges(named.atoms, CUTOFF)
        # No atom sees any but its partner.
        assert np.array_equal(edges.centers, np.arange(len(named.atoms)))
        assert np.array_equal(edges.neighbors, np.arange(len(named.atoms)) ^ 1)
        for i in range(0, len(named.atoms), 2):
            pair = tuple(sorted(named.atoms.symbols[i : i + 2]))
            seen.setdefault(pair, []).append(float(np.linalg.norm(vectors[i])))
    assert set(seen) == {tuple(sorted(p)) for p in combinations_with_replacement(elements, 2)}
    for lengths in seen.values():
        assert 0.5 <= min(lengths) < 1.0
        assert any(1.0 < length < 2.5 for length in lengths)
        assert 2.5 < max(lengths) < CUTOFF
    assert len(frames) < 20


@pytest.mark.parametrize("n_neighbors", [120, 240])
@MODELS
def test_crowded_cells_have_so_many_neighbors(n_neighbors, elements):
    cell = crowded_cell(elements, cutoff=CUTOFF, n_neighbors=n_neighbors, seed=0)
    assert neighbors(cell).mean() == pytest.approx(n_neighbors, rel=0.15)
    assert len(cell) == 8


@pytest.mark.parametrize("make", [element_crystals, random_alloys, dimers_of_all_pairs])
def test_the_seed_decides(make):
    once, again, other = (make(("O", "Si"), cutoff=CUTOFF, seed=seed) for seed in (3, 3, 4))
    assert [named.atoms for named in once] == [named.atoms for named in again]
    assert all(a.atoms != b.atoms for a, b in zip(once, other, strict=True))
    assert len({named.name for named in once}) == len(once)
