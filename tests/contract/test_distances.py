"""How close atoms come in frames, and what a file may say of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from m3compress.contract.distances import as_matrix, merged, problem_with, shortest_distances

ELEMENTS = ("H", "O", "Si")


def test_shortest_distances_are_those_of_each_pair() -> None:
    water = Atoms("OH2", positions=[[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    closer = Atoms("OH", positions=[[0, 0, 0], [0, 0, 0.9]])
    silicon = bulk("Si", a=5.43)
    found = shortest_distances([water, closer, silicon], cutoff=5.0)
    assert list(found) == ["H-H", "H-O", "Si-Si"]
    assert found["H-H"] == pytest.approx(np.hypot(1.2, 0.93), abs=1e-4)
    assert found["H-O"] == pytest.approx(0.9, abs=1.01e-4)
    assert found["Si-Si"] == pytest.approx(5.43 * 3**0.5 / 4, abs=1e-4)
    assert all(found["Si-Si"] <= length for length in silicon.get_all_distances(mic=True)[0, 1:])


def test_of_two_domains_the_closer_one_counts() -> None:
    assert merged({"H-O": 0.9, "O-O": 2.0}, {"H-O": 0.8}, {}) == {"H-O": 0.8, "O-O": 2.0}


def test_pairs_of_which_nothing_is_known_have_no_limit() -> None:
    matrix = as_matrix({"H-O": 0.9}, ELEMENTS)
    assert matrix.tolist() == [[0, 0.9, 0], [0.9, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    "garbled",
    [
        *(3, None, ["H-O"], {"H": 1.0}, {"O-H": 1.0}, {"H-Xe": 1.0}, {"H-O": "1"}, {"H-O": True}),
        *({"H-O": 0.0}, {"H-O": -1.0}, {"H-O": float("nan")}, {"H-O": 1e9}, {3: 1.0}),
    ],
)
def test_garbled_distances_are_known(garbled: Any) -> None:
    assert problem_with(garbled, ELEMENTS)
    assert problem_with({"H-O": 0.9, "Si-Si": 2}, ELEMENTS) is None
