"""What is new is found, and one explosion is not everything."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from m3compress.distill.on_policy.novelty import most_novel, surroundings

SALT = bulk("SiO", "rocksalt", a=4.5).repeat(2)


def rattled(size, seed):
    atoms = SALT.copy()
    atoms.rattle(size, seed=seed)
    return surroundings(atoms, ("O", "Si"), 4.0)


def test_surroundings_do_not_depend_on_where_and_how_the_crystal_lies():
    atoms = SALT.copy()
    atoms.rattle(0.1, seed=1)
    turned = atoms.copy()
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    turned.positions += 1.7
    one, other = (surroundings(frame, ("O", "Si"), 4.0) for frame in (atoms, turned))
    np.testing.assert_allclose(one, other, atol=1e-9)


def test_an_atom_of_another_element_is_somewhere_else():
    swapped = SALT.copy()
    swapped.symbols = ["O" if symbol == "Si" else "Si" for symbol in SALT.symbols]
    one, other = (surroundings(frame, ("O", "Si"), 4.0) for frame in (SALT, swapped))
    assert np.abs(one - other).max() >= 100


@pytest.fixture
def known():
    return np.concatenate([rattled(0.02, seed) for seed in range(10)])


def test_the_strangest_come_first_and_each_is_chosen_once(known):
    candidates = [rattled(size, 100 + row) for row, size in enumerate((0.02, 0.3, 0.02, 0.1))]
    chosen = most_novel(candidates, [0, 1, 2, 3], known, 4, 4)
    assert chosen[:2] == [1, 3]
    assert sorted(chosen) == [0, 1, 2, 3]


def test_what_was_chosen_is_no_longer_new(known):
    twin = rattled(0.3, 7)
    candidates = [twin, twin.copy(), rattled(0.1, 8)]
    assert most_novel(candidates, [0, 1, 2], known, 2, 2) == [0, 2]


def test_one_group_does_not_take_all_places(known):
    candidates = [rattled(0.3, seed) for seed in range(4)] + [rattled(0.03, 9)]
    chosen = most_novel(candidates, [0, 0, 0, 0, 1], known, 3, 2)
    assert 4 in chosen
    assert len(chosen) == 3
