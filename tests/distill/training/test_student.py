"""From labels to the file of a student: it learns in stages, and says what it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from m3compress.api import load_potential
from m3compress.contract.forms import FACTORIZED, REMOVED
from m3compress.distill.data.batches import fit_references
from m3compress.distill.data.labels import largest_force
from m3compress.distill.losses import Term
from m3compress.distill.outcome import record_of_training
from m3compress.distill.students import Student
from m3compress.distill.training.recipe import Recipe
from m3compress.distill.training.student import StudentTraining, measure, seconds_per_step
from m3compress.errors import M3CompressError
from m3compress.models.student_record import record_of, write_student

STUDENT = Student(width=8, cutoff=4.0, max_n=2, max_l=2)
STEPS = 120


pytestmark = pytest.mark.usefixtures("one_thread")


def begin(labelled, folder, student=STUDENT, steps=STEPS, **how):
    config = student.config(labelled.plan.elements, labelled.teacher.cutoff)
    path = folder / "training.pt"
    return StudentTraining.begin(student, config, labelled.read("train"), steps, 3, path, **how)


def advance(training, labelled, until=STEPS, after_epoch=None):
    training.advance(labelled.read("train"), labelled.read("validation"), until, after_epoch)


@pytest.fixture(scope="module")
def trained(labelled, tmp_path_factory):
    """A training that is done, its validation errors epoch by epoch, and its student's file."""
    folder, errors = tmp_path_factory.mktemp("trained"), []
    training = begin(labelled, folder)
    advance(training, labelled, after_epoch=lambda run: errors.append(run.history[-1]["force_mae"]))
    path = folder / "salt.m3c.safetensors"
    write_student(training.potential, record_of_training(training, labelled), path)
    return training, errors, path


def test_a_student_learns(trained, labelled):
    training, errors, path = trained
    assert training.is_done
    assert errors[-1] < 0.8 * errors[0]
    found = record_of(load_potential(path))
    assert found.errors["test"] == measure(
        load_potential(path).to(torch.float32), labelled.read("test")
    )
    assert found.errors["test salt"] == found.errors["test"], "there is one phase"


def test_its_file_says_what_it_is(trained, labelled):
    potential = load_potential(trained[2])
    record = record_of(potential)
    assert potential.form == FACTORIZED
    assert record.teacher == labelled.teacher.to_json()
    assert record.data["frames"]["train"]["close"] == 4
    assert record.recipe["steps"] == STEPS
    assert record.recipe["optimizer"] == "soap"
    assert record.domain.temperatures == (300.0, 600.0)
    assert 1.5 < potential.provenance.shortest["O-Si"] < 2.25, "walls are no part of the domain"
    assert min(record.domain.densities) > 1


def test_walls_do_not_decide_the_energies_of_the_elements(trained, labelled):
    frames = labelled.read("train")
    calm = [frame for frame in frames if largest_force(frame) <= 20]
    assert len(calm) < len(frames)
    potential = load_potential(trained[2])
    expected = fit_references(calm, ("O", "Si"))
    np.testing.assert_allclose(potential.element_energies, expected, atol=1e-6)
    assert float(potential.network.scales[0]) < 20


def test_a_training_in_stages_that_is_taken_up_again_is_one_training(labelled, tmp_path):
    whole = begin(labelled, tmp_path, steps=30)
    for until in (7, 30):
        advance(whole, labelled, until)
    (tmp_path / "again").mkdir()
    for until in (7, 20, 30):
        part = begin(labelled, tmp_path / "again", steps=30)
        part.advance(labelled.read("train"), labelled.read("validation"), 7)
        assert part.run.steps == max(7, part.run.steps)
        if until != 20:
            advance(part, labelled, until)
    one, other = (training.potential.network.state_dict() for training in (whole, part))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_student_of_pairs_alone(labelled, tmp_path):
    student = STUDENT.model_copy(update={"form": "removed"})
    training = begin(labelled, tmp_path, student, steps=3)
    advance(training, labelled, 3)
    assert training.potential.form == REMOVED


def test_a_training_that_diverged_is_an_error(labelled, tmp_path):
    def diverge(run):
        run.history[-1]["force_mae"] = float("nan")

    with pytest.raises(M3CompressError, match=r"diverged.*nan"):
        advance(begin(labelled, tmp_path), labelled, 3, diverge)


def test_a_loss_of_curvatures_takes_frames_that_have_them(labelled, tmp_path):
    curved = Recipe(loss=(Term("forces", 1.0, 0.2), Term("curvature", 0.02, 2.0)))
    training = begin(labelled, tmp_path, STUDENT.model_copy(update={"training": curved}))
    with pytest.raises(M3CompressError, match="no frame has them"):
        advance(training, labelled)


def test_a_step_of_a_wider_student_takes_longer(labelled):
    took = []
    for width in (8, 128):
        student = STUDENT.model_copy(update={"width": width})
        config = student.config(labelled.plan.elements, labelled.teacher.cutoff)
        took.append(seconds_per_step(student, config, labelled.read("train")[:8]))
    assert 1e-4 < took[0] < took[1]


def test_a_compiled_training_is_the_same(labelled, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda graph, **_: graph)  # traced, and interpreted
    losses, small = [], STUDENT.model_copy(update={"blocks": 1, "form": "removed"})
    for compiled in (True, False):
        folder = tmp_path / str(compiled)
        folder.mkdir()
        training = begin(labelled, folder, small, steps=4, compiled=compiled)
        advance(training, labelled, until=4)
        losses.append(training.run.history[-1]["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_compiling_takes_a_compiler(labelled, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(M3CompressError, match=r"C\+\+ compiler"):
        begin(labelled, tmp_path, compiled=True)
    begin(labelled, tmp_path)
