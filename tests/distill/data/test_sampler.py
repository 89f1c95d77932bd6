"""Frames of every kind, by a teacher that costs nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from m3compress.distill.data.frame_store import FrameStore
from m3compress.distill.data.labels import curve, label, largest_force
from m3compress.distill.data.plan import Group
from m3compress.distill.data.sampler import Pairs, Sampler
from m3compress.engines.dynamics.run import read_frames
from m3compress.errors import StructureError

DISTORTED = Group(kind="distorted", parent="salt", split="train", n_frames=5)
HOT = Group(kind="trajectory", parent="salt", split="train", temperature=300, n_frames=3)
PAIRS = Group(kind="pairs", parent="SiO", split="train", n_frames=6)


@pytest.fixture
def sampler(teacher, tmp_path):
    return Sampler(
        teacher=teacher,
        teacher_id="soft spheres",
        folder=tmp_path / "trajectories",
        parents={"salt": lambda: bulk("SiO", "rocksalt", a=4.5).repeat((2, 2, 1))},
        pairs={"SiO": Pairs(shortest=1.6, longest=3.9)},
        largest_force=6.0,
    )


@pytest.mark.parametrize("group", [DISTORTED, HOT, PAIRS])
def test_frames_are_labelled_repeat_and_know_their_group(sampler, teacher, tmp_path, group):
    frames = sampler(group)
    again = replace(sampler, folder=tmp_path / "elsewhere")(group)
    for frame, copy in zip(frames, again, strict=True):
        assert frame.info["group"] == group.name
        assert frame.get_potential_energy() == teacher.evaluate(frame).energy
        np.testing.assert_array_equal(frame.positions, copy.positions)
    assert len({frame.get_potential_energy() for frame in frames}) == len(frames)


def test_curvatures_are_kept_with_the_frames_but_for_walls(sampler, tmp_path):
    store = FrameStore(tmp_path)
    groups = [
        Group(kind="distorted", parent="salt", split="train", n_frames=2),
        Group(kind="pairs", parent="SiO", split="train", n_frames=2),
    ]
    store.fill(groups, replace(sampler, curved=True))
    for frame in store.read(groups[:1]):
        known = {name: frame.arrays[name] for name in ("direction", "curvature")}
        assert known["curvature"].shape == (len(frame), 3)
        bare = label(sampler.teacher, frame)
        curve(sampler.teacher, bare, np.random.default_rng(0))
        assert not np.allclose(bare.arrays["direction"], known["direction"])
        # The Hessian is symmetric: v · H w = w · H v.
        here = (bare.arrays["direction"] * known["curvature"]).sum()
        there = (bare.arrays["curvature"] * known["direction"]).sum()
        assert here == pytest.approx(there, rel=0.05, abs=0.05 * np.abs(known["curvature"]).max())
    assert "curvature" not in store.read(groups[1:])[0].arrays


def test_no_distorted_crystal_is_violent(sampler):
    frames = replace(sampler, largest_force=1.0)(replace(DISTORTED, n_frames=20))
    assert len(frames) == 20
    assert max(largest_force(frame) for frame in frames) <= 1.0


def test_a_parent_that_is_violent_by_itself_is_refused(sampler):
    with pytest.raises(StructureError, match="however gently"):
        replace(sampler, largest_force=1e-9)(DISTORTED)


def test_violent_pairs_are_left_out(sampler):
    everything = replace(sampler, largest_force=np.inf)(PAIRS)
    distances = [frame.get_distance(0, 1) for frame in everything]
    np.testing.assert_allclose(distances, np.geomspace(1.6, 3.9, 6))
    kept = sampler(PAIRS)
    assert 0 < len(kept) < len(everything)
    assert max(largest_force(frame) for frame in kept) <= 6.0


def test_a_trajectory_has_the_length_and_the_temperature_of_its_group(sampler, tmp_path):
    group = replace(HOT, n_frames=40)
    frames = sampler(group)
    assert len(frames) == 40
    (folder,) = (tmp_path / "trajectories").iterdir()
    steps = read_frames(folder)
    assert steps[1].info["time_fs"] - steps[0].info["time_fs"] == pytest.approx(20 * 1.5)
    temperatures = [step.get_temperature() for step in steps]
    # 24 degrees of freedom: single frames scatter by 87 K, the mean of 40 by less than a third.
    assert np.mean(temperatures) == pytest.approx(300, abs=75)


def test_a_finished_trajectory_is_only_read(sampler, teacher):
    first = sampler(HOT)

    class Labels:
        """Evaluates no more than the frames that are asked for."""

        elements, cutoff, count = teacher.elements, teacher.cutoff, 0

        def evaluate(self, atoms):
            self.count += 1
            return teacher.evaluate(atoms)

    counted = Labels()
    again = replace(sampler, teacher=counted)(HOT)
    assert counted.count == len(again) == len(first)


def test_what_the_sampler_does_not_know_is_named(sampler):
    with pytest.raises(StructureError, match="nothing called gold"):
        sampler(replace(DISTORTED, parent="gold"))
    with pytest.raises(StructureError, match="nothing called salt to make pairs"):
        sampler(replace(PAIRS, parent="salt"))
