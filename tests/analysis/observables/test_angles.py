"""Bond angles of crystals whose angles everybody knows."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from m3compress.analysis.observables.angles import N_BINS, angle_distribution


def test_all_angles_of_diamond_are_tetrahedral():
    degrees, density = angle_distribution([bulk("Si", "diamond", a=5.43)])
    assert degrees[np.flatnonzero(density[0])] == pytest.approx([109.47], abs=0.5)
    assert density.shape == (1, N_BINS)
    assert density.sum() * 180 / N_BINS == pytest.approx(1)


def test_angles_of_a_simple_cubic_crystal_are_right_and_straight():
    degrees, density = angle_distribution([bulk("Cu", "sc", a=3.0)])
    # 15 pairs of bonds: 12 at 90°, 3 at 180°.
    right = density[0][np.abs(degrees - 90) < 1].sum()
    straight = density[0][degrees > 179].sum()
    assert (right, straight) == (pytest.approx(0.8), pytest.approx(0.2))


def test_a_molecule_is_measured_without_a_cell():
    degrees, density = angle_distribution([molecule("H2O")])
    assert degrees[density[0].argmax()] == pytest.approx(molecule("H2O").get_angle(1, 0, 2), abs=1)


def test_a_frame_without_bonds_is_empty_and_not_nan():
    _, density = angle_distribution([Atoms("Si2", [[0, 0, 0], [0, 0, 9]])])
    assert not density.any()
