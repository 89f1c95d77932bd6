"""Close atoms: exactly the distances that were asked for, and nothing else moved."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from m3compress.models.structures.walls import Wall, compressed, pulled_together, rising


@pytest.fixture
def salt():
    return bulk("SiO", "rocksalt", a=4.5).repeat(2)


def test_a_compressed_crystal_has_the_volume(salt):
    found = compressed(salt, 0.5, 0.0, np.random.default_rng(0))
    assert found.get_volume() == pytest.approx(0.5 * salt.get_volume())
    np.testing.assert_allclose(found.positions, salt.positions * 0.5 ** (1 / 3), atol=1e-12)


@pytest.mark.parametrize(("part", "distance"), [(0, 0.5), (1, 0.9 * 2.25)])
def test_a_pair_is_pulled_together_and_nothing_else_moves(salt, part, distance):
    found, told = pulled_together(salt, ("O", "Si"), Wall(), part, np.random.default_rng(1))
    assert told == pytest.approx(distance)
    moved = np.flatnonzero(np.any(found.positions != salt.positions, axis=1))
    assert sorted(found.symbols[moved]) == ["O", "Si"]
    assert found.get_distance(*moved, mic=True) == pytest.approx(distance)
    np.testing.assert_allclose(found.positions.sum(axis=0), salt.positions.sum(axis=0))


def test_what_cannot_be_pulled_together_is_left(salt):
    rng = np.random.default_rng(1)
    assert pulled_together(salt, ("O", "Ti"), Wall(), 0.5, rng) is None
    assert pulled_together(bulk("Cu"), ("Cu", "Cu"), Wall(), 0.5, rng) is None, "its own image"
    close = Atoms("O2", positions=[(0, 0, 0), (0.5, 0, 0)], cell=[20] * 3, pbc=True)
    assert pulled_together(close, ("O", "O"), Wall(), 0.5, rng) is None


def test_what_is_behind_a_step_down_is_no_wall():
    distances = [0.5, 0.7, 0.9, 1.1, 1.3, 2.0, 3.0]  # Å; the zone of Ti-O ends at 1.8
    wall = [90.0, 50.0, 20.0, 5.0, -2.0, -9.0, -5.0]
    assert all(rising(("O", "Ti"), distances, wall))
    hole = [-1.0, 9.0, 8.0, 5.0, -2.0, -9.0, -5.0]
    assert rising(("O", "Ti"), distances, hole) == [False] + 6 * [True]
    assert rising(("O", "Ti"), distances[::-1], hole[::-1]) == 6 * [True] + [False]
    # Behind the hole it may rise again, and is as wrong there.
    inside = [99.0, 3.0, 8.0, 5.0, -2.0, -9.0, -5.0]
    assert rising(("O", "Ti"), distances, inside) == 2 * [False] + 5 * [True]


def test_all_pairs_take_turns_from_the_shortest_to_the_longest():
    drawn = list(Wall().draws(["O", "Si"], 7))
    assert [pair for pair, _ in drawn[:3]] == [("O", "O"), ("O", "Si"), ("Si", "Si")]
    assert [part for _, part in drawn] == [0, 0, 0, 0.5, 0.5, 0.5, 1]
    assert list(Wall().draws(["O", "Si"], 2)) == [(("O", "O"), 0), (("O", "Si"), 0)]
