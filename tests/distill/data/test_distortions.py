"""Distorted crystals stay within what they were asked for."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from m3compress.distill.data.distortions import Distortion


def test_volumes_stay_in_range_and_the_parent_is_left_alone():
    parent, rng = bulk("Si", a=5.43, cubic=True), np.random.default_rng(0)
    before = parent.copy()
    ratios = [
        Distortion(volume=0.08).apply(parent, rng, rattle=0.1).get_volume() / parent.get_volume()
        for _ in range(200)
    ]
    # The strain is traceless in first order only.
    assert 0.91 < min(ratios) < 0.94
    assert 1.06 < max(ratios) < 1.09
    assert parent == before


def test_rattles_have_the_size_that_was_asked_for():
    parent = bulk("Si", a=5.43, cubic=True).repeat(4)
    still = Distortion(volume=0.0, strain=0.0)
    moved = still.apply(parent, np.random.default_rng(1), rattle=0.15)
    assert (moved.positions - parent.positions).std() == pytest.approx(0.15, rel=0.05)


def test_rattles_are_even_in_the_logarithm():
    rng = np.random.default_rng(2)
    drawn = np.array([Distortion(rattle=(0.01, 1.0)).draw_rattle(rng) for _ in range(2000)])
    assert drawn.min() >= 0.01
    assert drawn.max() <= 1.0
    assert (drawn < 0.1).mean() == pytest.approx(0.5, abs=0.05)
