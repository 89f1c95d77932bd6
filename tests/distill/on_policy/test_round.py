"""A round judges a student, keeps what judges it out of what it learns, and repeats itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from m3compress.distill.on_policy.dynamics import OwnTrajectory
from m3compress.distill.on_policy.round import Rounds

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def rounds(how, tmp_path):
    return Rounds(how=how, folder=tmp_path / "own")


def test_a_student_like_its_teacher_is_right_everywhere(rounds, store, twin):
    report, grown = rounds(1, 10, twin, store, learn=True)
    assert (len(report.judged), report.n_wrong) == (2, 0)
    assert report.worst.mae < 0.01
    assert report.n_learned == 4
    added = {frame.info["group"] for frame in grown.read("train")}
    added -= {frame.info["group"] for frame in store.read("train")}
    held = {frame.info["group"] for frame in grown.read("validation")}
    assert added
    assert not added & held
    assert len(grown.read("train")) == len(store.read("train")) + 4
    assert len(grown.read("validation", without=("own",))) == len(store.read("validation"))
    assert len(grown.read("test")) == len(store.read("test"))
    assert "0 of 2 own trajectories wrong" in str(report)


def test_a_student_that_is_wrong_is_found_out_by_the_teacher(rounds, store, larger, how):
    strict = replace(rounds, how=replace(how, limit=0.5))
    report, _ = strict(1, 10, larger, store, learn=True)
    assert report.n_wrong == 2
    assert report.worst.percent > report.limit


def test_one_that_breaks_is_wrong_and_what_it_did_before_is_learned(
    rounds, store, twin, monkeypatch
):
    slow = OwnTrajectory.job
    monkeypatch.setattr(
        OwnTrajectory, "job", lambda *arguments: replace(slow(*arguments), timestep=15.0)
    )
    report, grown = rounds(1, 10, twin, store, learn=True)
    assert report.n_wrong == 2
    assert all(one.broken for one in report.judged)
    assert "broke" in str(report)
    assert all(np.isfinite(frame.get_forces()).all() for frame in grown.read("train"))


def test_the_last_look_learns_nothing_and_sees_twice_as_many(rounds, store, twin, how):
    report, grown = rounds(2, 10, twin, store, learn=False)
    assert len(report.judged) == 2 * how.held_back == 4
    assert report.n_learned == 0
    assert len(grown.read("train")) == len(store.read("train"))
    assert len(grown.plan.groups) == len(store.plan.groups) + 4


def test_a_round_that_is_taken_up_again_is_the_same(rounds, store, twin):
    report, grown = rounds(1, 10, twin, store, learn=True)
    again, same = rounds(1, 10, twin, store, learn=True)
    assert again == report
    assert [g.name for g in same.plan.groups] == [g.name for g in grown.plan.groups]
    for one, other in zip(grown.read("train"), same.read("train"), strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
