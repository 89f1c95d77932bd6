"""Errors frame by frame, and holes in rows of energies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from m3compress.analysis.frame_errors import deepest_hole, frame_errors
from m3compress.contract.evaluation import Evaluation

SILICON = bulk("Si")
RIGHT = Evaluation(-10.0, np.full(2, -5.0), np.array([[1.0, -2, 0], [-1, 2, 0]]), np.eye(3))


def test_errors_are_per_frame_and_in_their_units():
    wrong = replace(RIGHT, energy=-9.0, forces=RIGHT.forces + 0.3, virial=RIGHT.virial + np.eye(3))
    found = frame_errors([(SILICON, RIGHT, RIGHT), (SILICON, wrong, RIGHT)])
    np.testing.assert_allclose(found.energy, [0, 0.5])
    np.testing.assert_allclose(found.force, [0, 0.3])
    np.testing.assert_allclose(found.scale, [1, 1])
    # 1 eV/Å³ is 160.2 GPa, and three of six components are wrong.
    stress = 160.2176634 / SILICON.get_volume() / 2
    np.testing.assert_allclose(found.stress, [0, stress], rtol=1e-6)


def test_no_frames_have_no_errors():
    assert frame_errors([]).force.shape == (0,)


@pytest.mark.parametrize(
    ("energies", "depth"),
    [([], 0), ([1], 0), ([1, 2, 5], 0), ([1, 4, 2, 3, 6, 5.5], 2), ([3, 2, -1], 4)],
)
def test_a_hole_is_as_deep_as_energies_fall_below_what_came_before(energies, depth):
    assert deepest_hole(np.array(energies, dtype=float)) == depth


def test_a_hole_behind_a_wall_that_nobody_climbs_does_not_count():
    energies = np.array([0.0, 4.0, 3.0, 20.0, -50.0])
    assert deepest_hole(energies) == 70.0
    assert deepest_hole(energies, 20.0) == 70.0
    assert deepest_hole(energies, 19.0) == 1.0
