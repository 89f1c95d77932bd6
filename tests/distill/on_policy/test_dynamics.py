"""Where a student is sent: every phase, hot enough, at several volumes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ase.build import bulk

from m3compress.distill.data.phases import plan_data
from m3compress.distill.on_policy.dynamics import own_trajectories
from m3compress.distill.on_policy.settings import OwnDynamics
from m3compress.models.structures.frames import Named


def test_every_phase_is_sent_to_the_highest_temperature_and_to_all_volumes(sampling):
    salt, other = (Named(name, bulk("SiO", "rocksalt", a=a)) for name, a in (("a", 4.5), ("b", 5)))
    plan = plan_data([salt, other], 4.0, sampling)
    own = own_trajectories(plan, OwnDynamics(), 2, ("validation", "train"))
    assert len(own) == 16
    assert len({one.name for one in own}) == 16
    for parent in ("a", "b"):
        held = [one for one in own if one.parent == parent and one.split == "validation"]
        assert {one.temperature for one in held} == {750.0}
        assert {one.volume for one in held} == {0.95, 1.0, 1.05}
        mine = [one for one in own if one.parent == parent and one.split == "train"]
        assert {one.temperature for one in mine} == {600.0, 750.0}


def test_the_last_look_is_at_twice_as_many(plan, how):
    assert len(own_trajectories(plan, how, 2, ("validation", "train"))) == 4
    assert len(own_trajectories(plan, how, 2, ("validation",))) == 4
    assert len(own_trajectories(plan, OwnDynamics(), 3, ("validation",))) == 16


def test_rounds_and_splits_have_random_numbers_of_their_own(plan, how, twin):
    own = [one for number in (1, 2) for one in own_trajectories(plan, how, number, ("validation",))]
    jobs = [one.job(plan, how, twin) for one in own]
    assert len({job.seed for job in jobs}) == len(jobs)
    assert {job.total_steps for job in jobs} == {40}
    again = own[0].job(plan, how, twin)
    assert again.fingerprint() == jobs[0].fingerprint()


def test_the_volume_is_the_one_that_was_asked_for(plan, how, twin):
    (one, *_) = own_trajectories(plan, how, 1, ("validation",))
    job = replace(one, volume=0.95).job(plan, how, twin)
    assert job.structure.get_volume() == pytest.approx(0.95 * plan.phases["salt"].get_volume())


def test_less_of_it_is_first_shorter_and_then_fewer(how):
    whole = OwnDynamics()
    assert whole.scaled(1.0) == whole
    half = whole.scaled(0.5)
    assert (half.steps, half.learned, half.frames) == (400, 8, 150)
    little = whole.scaled(0.05)
    assert (little.steps, little.learned, little.held_back, little.frames) == (200, 2, 2, 15)
