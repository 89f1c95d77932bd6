"""Groups of frames: names, seeds, splits."""

from __future__ import annotations

import pytest

from m3compress.distill.data.plan import Group, of_split, require_unique
from m3compress.errors import M3CompressError

COLD = Group(kind="distorted", parent="quartz", split="train", n_frames=3)
HOT = Group(kind="trajectory", parent="quartz", split="test", temperature=450, n_frames=3)


def test_names_tell_groups_apart_and_fix_their_seeds():
    assert COLD.name == "train-quartz-0"
    assert HOT.name == "test-quartz-450"
    assert COLD.seed == 4193707111
    assert COLD.seed != HOT.seed


def test_a_split_keeps_the_order_of_the_plan():
    assert of_split([HOT, COLD, HOT], "test") == [HOT, HOT]


def test_two_groups_of_one_name_are_refused():
    with pytest.raises(M3CompressError, match="test-quartz-450"):
        require_unique([HOT, COLD, HOT])


def test_only_trajectories_have_a_temperature():
    with pytest.raises(M3CompressError, match="temperature"):
        Group(kind="trajectory", parent="quartz", split="train", n_frames=3)
    with pytest.raises(M3CompressError, match="temperature"):
        Group(kind="pairs", parent="SiO", split="train", temperature=300, n_frames=3)
