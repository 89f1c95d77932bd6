"""A distillation from structures to a file: killed anywhere, it ends as if it had not been."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest
import torch
from ase.build import bulk

from m3compress.api import load_potential
from m3compress.distill import report
from m3compress.distill.data.label_store import LabelStore
from m3compress.distill.on_policy.round import Rounds
from m3compress.distill.report import Reporter
from m3compress.distill.students import Student
from m3compress.distill.training import loop
from m3compress.errors import (
    M3CompressError,
    OutputExistsError,
    StructureError,
    UnsupportedModelError,
)
from m3compress.models.readers.matgl import read_matgl
from m3compress.models.student_record import record_of

pytestmark = pytest.mark.usefixtures("one_thread")


def weights(path):
    return load_potential(path).network.state_dict()


@pytest.mark.usefixtures("in_this_process")
def test_it_ends_with_a_student_that_says_what_it_is(distillation, tmp_path):
    said, path = [], tmp_path / "salt.m3c.safetensors"
    reporter = Reporter(say=lambda *line: said.append(line))
    done = replace(distillation, reporter=reporter, matgl=tmp_path / "matgl").run(path)
    record = record_of(load_potential(path))
    assert record == done.record
    assert set(record.errors) == {"test", "test salt", "own"}
    assert [one.number for one in done.rounds] == [1, 2]
    assert record.recipe["rounds"] == [one.to_json() for one in done.rounds]
    assert record.data["frames"]["train"]["own"] == done.rounds[0].n_learned > 0
    assert done.rounds[-1].steps == done.record.recipe["steps"] == distillation.budget.steps
    assert done.speed.ratio == 2
    stages = [stage for stage, _ in said]
    assert stages.index("time") < stages.index("at 50 %") < stages.index("round 1")
    theirs = read_matgl(tmp_path / "matgl")
    assert all(torch.equal(theirs.network.state_dict()[n], w) for n, w in weights(path).items())
    assert theirs.provenance.shortest == record.domain.shortest
    assert done.to_json()["parameters"] == done.n_parameters > 1000


@pytest.mark.skipif(torch.version.cuda is not None, reason="PyTorch built for GPUs does not fork")
@pytest.mark.usefixtures("in_this_process")
def test_killed_in_labels_training_and_rounds_it_is_the_same_distillation(
    distillation, tmp_path, monkeypatch
):
    path = tmp_path / "whole.m3c.safetensors"
    distillation.run(path)
    (tmp_path / "again").mkdir()
    again = replace(distillation, work=tmp_path / "again")
    kills = [
        (LabelStore, "make", 3),
        (loop, "take_step", 2),
        (Rounds, "_choose", 0),
        (report, "write_student", 0),
    ]
    monkeypatch.setattr(loop, "_CHECKPOINT_EVERY", -1.0)
    resumed = tmp_path / "resumed.m3c.safetensors"
    for place, name, after in kills:
        with monkeypatch.context() as patch:
            patch.setattr(place, name, _dying(getattr(place, name), after))
            assert _ends_by(lambda: replace(again).run(resumed)) == signal.SIGKILL
        assert not resumed.exists()
    replace(again).run(resumed)
    one, other = weights(path), weights(resumed)
    assert all(torch.equal(one[name], other[name]) for name in one)
    mine, theirs = (record_of(load_potential(p)) for p in (path, resumed))
    assert mine.errors == theirs.errors
    assert mine.recipe["rounds"] == theirs.recipe["rounds"]


def _ends_by(run):
    """By which signal a process that runs this ends; 0 if it comes to its end."""
    process = os.fork()
    if process == 0:
        try:
            run()
        finally:
            os._exit(0)
    return os.waitpid(process, 0)[1] & 0x7F


def _dying(function, after):
    """The function, whose call after so many kills its process."""
    calls = []

    def call(*arguments, **options):
        calls.append(1)
        if len(calls) > after:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)

    return call


def test_the_labels_of_another_teacher_are_refused(distillation):
    assert distillation.budget.steps > 0
    other = replace(distillation, teacher=replace(distillation.teacher, sha256="other"))
    with pytest.raises(M3CompressError, match="another teacher"):
        _ = other.budget


def test_time_too_short_for_an_epoch_is_said_before_anything_is_labelled(distillation):
    short = replace(distillation.settings, minutes=1e-4, epochs=None)
    with pytest.raises(M3CompressError, match="too short for one epoch"):
        replace(distillation, settings=short).run(distillation.work / "x.m3c.safetensors")
    assert not list(distillation.work.iterdir())


def test_what_matgl_cannot_hold_is_refused_before_anything_is_labelled(distillation, tmp_path):
    one_layer = replace(distillation.settings, student=Student())
    wanted = replace(distillation, settings=one_layer, matgl=tmp_path)
    with pytest.raises(UnsupportedModelError, match=r"hidden=\(\)") as caught:
        wanted.run(tmp_path / "x.m3c.safetensors")
    assert "hidden = [32, 32]" in caught.value.hint
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(OutputExistsError, match=r"model\.json"):
        replace(distillation, matgl=tmp_path).run(tmp_path / "x.m3c.safetensors")
    assert not list(distillation.work.iterdir())


@pytest.mark.usefixtures("in_this_process")
def test_structures_that_fall_apart_leave_nothing_to_test_on(distillation, sampling):
    hot = replace(distillation.settings, sampling=replace(sampling, temperatures=(3e5,)))
    with pytest.raises(StructureError, match=r"no frames to .* on.*broke"):
        replace(distillation, settings=hot).run(distillation.work / "x.m3c.safetensors")


def test_what_fell_apart_is_said(distillation, monkeypatch):
    said = []
    monkeypatch.setattr(LabelStore, "fill", lambda store, n_workers, progress: None)
    monkeypatch.setattr(LabelStore, "left_out", lambda store: [("train-salt-600", "it broke")])
    replace(distillation, reporter=Reporter(say=lambda *line: said.append(line))).label()
    assert said == [("left out", "train-salt-600: it broke")]


@pytest.mark.usefixtures("in_this_process")
def test_frames_of_the_users_are_labelled_and_learned(distillation, rocksalt):
    frames = [rocksalt.atoms.repeat((2, 1, 1)) for _ in range(3)]
    for seed, frame in enumerate(frames):
        frame.rattle(0.1, seed=seed)
    plan = replace(distillation, brought=frames).plan
    (group,) = (group for group in plan.groups if group.kind == "brought")
    assert (group.n_frames, group.split) == (3, "train")
    sampler = plan.sampler(distillation.teacher.open(), "x", distillation.work)
    assert len(sampler(group)) == 3


def test_frames_of_other_elements_than_the_student_knows_are_refused(distillation):
    gold = bulk("Au", cubic=True)
    with pytest.raises(StructureError, match=r"frame 0 of the labels contains Au"):
        _ = replace(distillation, brought=[gold]).plan
    gold.pbc = False
    with pytest.raises(StructureError, match="not periodic"):
        _ = replace(distillation, brought=[gold]).plan
