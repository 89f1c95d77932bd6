"""What a user decides, and what follows from it for the labels."""

from __future__ import annotations

from m3compress.distill.losses import Term
from m3compress.distill.settings import DistillSettings
from m3compress.distill.students import Student
from m3compress.distill.training.recipe import Recipe

CURVED = Student(training=Recipe(loss=(Term("forces", 1.0, 0.2), Term("curvature", 0.02, 2.0))))


def test_curvatures_are_labelled_where_a_loss_asks_for_them():
    settings = DistillSettings()
    assert not settings.for_students([Student()]).sampling.curved
    assert settings.for_students([Student(), CURVED]).sampling.curved


def test_what_was_begun_before_there_were_curvatures_goes_on():
    settings = DistillSettings()
    assert "curved" not in settings.to_json()["sampling"]
    assert settings.for_students([CURVED]).to_json()["sampling"]["curved"] is True
