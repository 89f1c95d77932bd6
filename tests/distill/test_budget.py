"""How time is divided: never more than there is, and told before anything is computed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from m3compress.distill.budget import Budget, make_budget
from m3compress.distill.data.sampling import Amounts, Sampling
from m3compress.distill.on_policy.settings import OwnDynamics
from m3compress.distill.settings import DistillSettings
from m3compress.distill.students import Student
from m3compress.distill.training.recipe import Recipe
from m3compress.errors import M3CompressError
from m3compress.models.structures.crystals import build_crystal
from m3compress.models.structures.frames import Named

RUTILE = [Named("rutile", build_crystal("TiO2-rutile"))]
#: Amounts of its own: what fits must not move with what is made by default.
SETTINGS = DistillSettings(
    minutes=50.0,
    sampling=Sampling(amounts=Amounts(distorted=240, trajectory=400)),
    own=OwnDynamics(frames=200),
)
#: Of an M3GNet on one thread, and of a step of the default student on it (s).
TEACHER, STEP = 0.7e-3, 0.04


def step_times(steps):
    return (STEP / 2, 100.0) if steps == "compiled" else (STEP, 1.0)


def budget(settings=SETTINGS, teacher=TEACHER, times=step_times):
    return make_budget(RUTILE, 5.0, settings, teacher, times, batch_size=2)


def test_a_usual_teacher_leaves_most_of_the_time_to_the_training():
    found = budget()
    assert found.frames == found.own == 1.0
    assert found.minutes == pytest.approx(50, abs=0.1)
    assert found.training_seconds > 0.7 * 50 * 60
    assert found.own_dynamics(SETTINGS) == SETTINGS.own


def test_a_slow_teacher_labels_fewer_frames():
    found = budget(teacher=20e-3)
    assert 0.05 < found.frames < 0.5
    assert found.minutes <= 50.1
    plan = found.plan(RUTILE, 5.0, SETTINGS)
    assert {group.split for group in plan.groups} == {"train", "validation", "test"}
    assert plan.seconds(20e-3, 1) <= 0.4 * 50 * 60


def test_more_processes_label_more():
    slow = [budget(replace(SETTINGS, threads=n), teacher=20e-3).frames for n in (1, 2)]
    assert slow[1] > slow[0]


def test_frames_that_the_user_brings_take_their_time():
    brought = [RUTILE[0].atoms.repeat(4)] * 50
    few, many = (
        make_budget(RUTILE, 5.0, replace(SETTINGS, minutes=m), TEACHER, step_times, 2, brought)
        for m in (5, 500)
    )
    n_atoms = sum(len(frame) for frame in brought)
    alone = budget(replace(SETTINGS, minutes=500))
    assert many.label_seconds == pytest.approx(alone.label_seconds + TEACHER * n_atoms)
    assert many.epoch == alone.epoch + 25
    # They are labelled whatever it takes: frames of the plan give way.
    assert few.frames < budget(replace(SETTINGS, minutes=5)).frames


def test_too_little_time_for_an_epoch_says_how_much_is_needed():
    with pytest.raises(M3CompressError, match="too short for one epoch") as caught:
        budget(replace(SETTINGS, minutes=0.2))
    needed = float(caught.value.hint.split("at least ")[1].split(" ")[0])
    assert budget(replace(SETTINGS, minutes=4 * needed)).steps > 0


def test_nothing_is_compiled_to_find_that_the_time_is_too_short():
    def only_eager(steps):
        assert steps == "eager"
        return step_times(steps)

    student = Student(training=Recipe(compiled=True))
    hurried = replace(SETTINGS, student=student, minutes=0.2)
    with pytest.raises(M3CompressError, match="too short for one epoch"):
        make_budget(RUTILE, 5.0, hurried, TEACHER, only_eager, batch_size=2)


def test_epochs_stand_for_what_fits():
    found = budget(replace(SETTINGS, epochs=3))
    assert found.steps == 3 * found.epoch


def test_it_is_kept_as_it_was():
    found = budget()
    assert Budget.from_json(found.to_json()) == found
    with pytest.raises(M3CompressError, match="not the budget"):
        Budget.from_json({"steps": 3})


def test_a_time_that_is_none_is_refused():
    for minutes in (0, -1, float("nan"), float("inf")):
        with pytest.raises(M3CompressError, match="no time"):
            DistillSettings(minutes=minutes)
    with pytest.raises(M3CompressError, match="positive ones in K"):
        DistillSettings(sampling=Sampling(temperatures=(0.0,)))


def test_long_trainings_are_compiled_where_there_is_a_compiler(monkeypatch):
    monkeypatch.setattr("m3compress.distill.budget.compiler", lambda: "c++")
    compiled, short = budget(), budget(replace(SETTINGS, minutes=15.0))
    assert (compiled.compiled, short.compiled) == (True, False)
    monkeypatch.setattr("m3compress.distill.budget.compiler", lambda: None)
    plain = budget()
    assert not plain.compiled
    assert compiled.minutes == pytest.approx(plain.minutes, abs=0.1)
    assert (compiled.step_seconds, plain.step_seconds) == (STEP / 2, STEP)
    assert compiled.steps > 1.5 * plain.steps
    # The compilation that was timed, and one more of the like, which finds most of it done.
    assert 100 < compiled.compile_seconds < 200
    assert plain.compile_seconds == 0


def test_compiled_steps_that_are_slower_than_those_of_many_threads_are_not_taken(monkeypatch):
    monkeypatch.setattr("m3compress.distill.budget.compiler", lambda: "c++")
    found = budget(times=lambda steps: (STEP, 100.0) if steps == "compiled" else (STEP / 2, 1.0))
    assert not found.compiled
    assert (found.step_seconds, found.compile_seconds) == (STEP / 2, 100.0)
    assert found.minutes == pytest.approx(50, abs=0.1)


@pytest.mark.parametrize("wanted", [True, False])
def test_the_file_of_a_student_decides_whether_it_is_compiled(wanted):
    student = Student(training=Recipe(compiled=wanted))
    assert budget(replace(SETTINGS, student=student)).compiled is wanted
    assert budget(replace(SETTINGS, student=student, epochs=1)).compiled is wanted
