"""Frames on disk: whole groups or none, and the same after a round trip."""

from __future__ import annotations

import numpy as np
import pytest

from m3compress.distill.data.frame_store import FrameStore
from m3compress.distill.data.plan import Group
from m3compress.errors import M3CompressError, StructureError

GROUPS = [
    Group(kind="distorted", parent=parent, split="train", n_frames=3) for parent in ("a", "b")
]


def test_frames_come_back_with_their_labels(tmp_path, frames):
    store = FrameStore(tmp_path / "frames")
    store.fill(GROUPS, lambda group: frames[:3] if group.parent == "a" else frames[3:])
    again = store.read(GROUPS)
    assert len(again) == len(frames)
    for frame, copy in zip(frames, again, strict=True):
        assert copy.get_potential_energy() == pytest.approx(frame.get_potential_energy(), abs=1e-7)
        np.testing.assert_allclose(copy.positions, frame.positions, atol=1e-7)
        np.testing.assert_allclose(copy.get_forces(), frame.get_forces(), atol=1e-7)
        np.testing.assert_allclose(copy.get_stress(), frame.get_stress(), atol=1e-7)


def test_an_interrupted_plan_goes_on_where_it_stopped(tmp_path, frames):
    store = FrameStore(tmp_path)
    made = []

    def make(group):
        made.append(group.parent)
        if group.parent == "b" and made.count("b") == 1:
            raise KeyboardInterrupt
        return frames

    with pytest.raises(KeyboardInterrupt):
        store.fill(GROUPS, make)
    assert [path.name for path in tmp_path.iterdir()] == ["train-a-0.extxyz"]
    store.fill(GROUPS, make)
    assert made == ["a", "b", "b"]


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(StructureError, match="train-a-0"):
        FrameStore(tmp_path).read(GROUPS)


def test_groups_of_one_name_are_refused(tmp_path, frames):
    with pytest.raises(M3CompressError, match="train-a-0"):
        FrameStore(tmp_path).fill([GROUPS[0], GROUPS[0]], lambda group: frames)
