"""From labels to the file of a student: it learns, survives a kill, and says what it is."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from m3compress.api import load_potential
from m3compress.contract.forms import FACTORIZED, REMOVED
from m3compress.distill.data.batches import fit_references
from m3compress.distill.data.labels import largest_force
from m3compress.distill.students import Student
from m3compress.distill.training.student import Course, measure, train_student
from m3compress.errors import M3CompressError, OutputExistsError, StructureError
from m3compress.models.student_record import record_of

STUDENT = Student(width=8, cutoff=4.0, max_n=2, max_l=2)
COURSE = Course(epochs=4, learning_rate=1e-2, seed=3)


pytestmark = pytest.mark.usefixtures("one_thread")


class KilledError(Exception):
    pass


@pytest.fixture
def store(labelled, tmp_path):
    """A copy of the labels, without checkpoints."""
    ignored = shutil.ignore_patterns("training-*")
    shutil.copytree(labelled.folder, tmp_path / "work", ignore=ignored)
    return replace(labelled, folder=tmp_path / "work")


@pytest.fixture(scope="module")
def trained(labelled, tmp_path_factory) -> tuple[Path, list[float]]:
    """A student and its validation errors, epoch by epoch."""
    path, errors = tmp_path_factory.mktemp("trained") / "salt.m3c.safetensors", []
    train_student(
        labelled,
        STUDENT,
        replace(COURSE, epochs=16),
        path,
        after_epoch=lambda run: errors.append(run.history[-1]["force_mae"]),
    )
    return path, errors


def test_a_student_learns(trained, labelled):
    path, errors = trained
    assert len(errors) == 16
    assert errors[-1] < 0.8 * errors[0]
    found = record_of(load_potential(path))
    assert found.errors["test"] == measure(
        load_potential(path).to(torch.float32), labelled.read("test")
    )


def test_its_file_says_what_it_is(trained, labelled):
    potential = load_potential(trained[0])
    record = record_of(potential)
    assert potential.form == FACTORIZED
    assert record.teacher == labelled.teacher.to_json()
    assert record.data["frames"]["train"]["close"] == 4
    assert record.recipe["epochs"] == 16
    assert record.recipe["minutes"] is None
    assert record.domain.temperatures == (300.0, 600.0)
    assert 1.5 < potential.provenance.shortest["O-Si"] < 2.25, "walls are no part of the domain"
    assert min(record.domain.densities) > 1


def test_walls_do_not_decide_the_energies_of_the_elements(trained, labelled):
    frames = labelled.read("train")
    calm = [frame for frame in frames if largest_force(frame) <= 20]
    assert len(calm) < len(frames)
    potential = load_potential(trained[0])
    expected = fit_references(calm, ("O", "Si"))
    np.testing.assert_allclose(potential.element_energies, expected, atol=1e-6)
    assert float(potential.network.scales[0]) < 20


def test_a_killed_training_ends_as_if_it_had_not_been_killed(store, tmp_path):
    whole, resumed = tmp_path / "whole.m3c.safetensors", tmp_path / "resumed.m3c.safetensors"
    train_student(store, STUDENT, COURSE, whole)
    (checkpoint,) = store.folder.glob("training-*.pt")
    checkpoint.unlink()

    def kill(run):
        if run.epoch == 2:
            raise KilledError

    with pytest.raises(KilledError):
        train_student(store, STUDENT, COURSE, resumed, after_epoch=kill)
    assert not resumed.exists()
    epochs = []
    train_student(store, STUDENT, COURSE, resumed, after_epoch=lambda run: epochs.append(run.epoch))
    assert epochs == [3, 4]
    one, other = (load_potential(path).network.state_dict() for path in (whole, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_another_student_does_not_go_on_from_this_one(store, tmp_path):
    course = replace(COURSE, epochs=1)
    for number, student in enumerate((STUDENT, STUDENT.model_copy(update={"form": "removed"}))):
        train_student(store, student, course, tmp_path / f"{number}.m3c.safetensors")
    assert len(list(store.folder.glob("training-*.pt"))) == 2
    assert load_potential(tmp_path / "1.m3c.safetensors").form == REMOVED


def test_a_training_that_diverged_gives_no_student(store, tmp_path):
    path = tmp_path / "x.m3c.safetensors"

    def diverge(run):
        run.history[-1]["force_mae"] = float("nan")

    with pytest.raises(M3CompressError, match=r"diverged.*nan"):
        train_student(store, STUDENT, replace(COURSE, epochs=1), path, after_epoch=diverge)
    assert not path.exists()


def test_a_time_too_short_for_an_epoch_gives_no_student(store, tmp_path):
    path = tmp_path / "x.m3c.safetensors"
    with pytest.raises(M3CompressError, match="too short: one epoch takes"):
        train_student(store, STUDENT, replace(COURSE, minutes=1e-6), path)
    assert not path.exists()


def test_what_is_missing_or_in_the_way_is_said_before_anything_is_trained(store, tmp_path):
    path = tmp_path / "x.m3c.safetensors"
    path.write_text("in the way")
    with pytest.raises(OutputExistsError):
        train_student(store, STUDENT, COURSE, path)
    assert not list(store.folder.glob("training-*.pt"))
    store.frames.path(store.plan.groups[0]).unlink()
    with pytest.raises(StructureError, match="cannot be read"):
        train_student(store, STUDENT, COURSE, tmp_path / "y.m3c.safetensors")
