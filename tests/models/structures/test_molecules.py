"""Molecules and clusters show what crystals do not: short bonds with angles, and few neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.data import chemical_symbols

from m3compress.contract.neighbors import find_edges
from m3compress.models.structures.molecules import clusters, molecules

CUTOFF, THREE_BODY = 5.0, 4.0
FEW, MANY = ("O", "Si"), tuple(chemical_symbols[1:90])


def drawn(elements, seed):
    return molecules(elements, cutoff=CUTOFF, three_body_cutoff=THREE_BODY, seed=seed)


def lengths(atoms, cutoff=CUTOFF):
    return np.linalg.norm(find_edges(atoms, cutoff)[1], axis=1)


@pytest.mark.parametrize("elements", [FEW, MANY, ("H",)], ids=lambda elements: str(len(elements)))
def test_molecules_are_of_known_elements_and_see_no_image(elements):
    found = drawn(elements, 0)
    assert len({named.name for named in found}) == len(found)
    for named in found:
        assert set(named.atoms.symbols) <= set(elements)
        assert named.atoms.pbc.all()
        assert not find_edges(named.atoms, CUTOFF)[0].images.any()
        assert lengths(named.atoms).min() > 0.5


@pytest.mark.parametrize("elements", [FEW, MANY], ids=lambda elements: str(len(elements)))
@pytest.mark.parametrize("seed", range(3))
def test_angles_between_short_bonds_are_among_them(elements, seed):
    short = 0
    for named in drawn(elements, seed):
        edges, vectors = find_edges(named.atoms, THREE_BODY)
        near = np.linalg.norm(vectors, axis=1) < 1.2
        short += np.bincount(edges.centers[near], minlength=len(named.atoms)).max() >= 2
    assert short >= 5


def test_common_molecules_are_there_where_all_elements_are_known():
    names = {named.name for named in drawn(MANY, 0)}
    assert {"H2O", "CH4", "N2"} <= names
    assert not {"H2O", "CH4", "N2"} & {named.name for named in drawn(FEW, 0)}


@pytest.mark.parametrize("crystal", [bulk("Si"), bulk("Cu", cubic=True)], ids=str)
def test_clusters_have_few_neighbours_in_many_numbers(crystal):
    widths = set()
    for seed in range(3):
        for named in clusters(crystal, cutoff=CUTOFF, seed=seed):
            edges, _ = find_edges(named.atoms, CUTOFF)
            assert not edges.images.any()
            widths.add(int(np.bincount(edges.centers).max()))
    assert len(widths) > 10
    assert min(widths) < 8


def test_a_seed_repeats_exactly():
    for first, second, other in zip(drawn(FEW, 3), drawn(FEW, 3), drawn(FEW, 4), strict=True):
        assert np.array_equal(first.atoms.positions, second.atoms.positions)
        assert not np.array_equal(first.atoms.positions, other.atoms.positions)
