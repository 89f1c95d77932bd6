"""A trajectory is wrong if it breaks, is beyond the teacher, or has a frame that is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from m3compress.distill.data.labels import label
from m3compress.distill.on_policy.judge import FrameError, frame_error, judge, pooled
from m3compress.errors import StructureError

GOOD, BAD = FrameError(30.0, 5.0), FrameError(90.0, 12.0)


@pytest.mark.parametrize(
    ("broken", "n_missing", "errors", "wrong"),
    [
        (None, 0, [GOOD, GOOD], False),
        (None, 0, [GOOD, BAD], True),
        ("it exploded", 0, [GOOD], True),
        (None, 1, [GOOD], True),
        (None, 0, [], True),
        (None, 0, [GOOD, FrameError(float("inf"), float("inf"))], True),
    ],
)
def test_what_is_wrong(broken, n_missing, errors, wrong):
    assert judge("x", broken, n_missing, errors, most=10.0).wrong is wrong


def test_errors_are_relative_to_the_forces_of_the_frame(frames, teacher, larger):
    frame = label(teacher, frames[1])
    assert frame_error(teacher, frame) == FrameError(0.0, 0.0)
    found = frame_error(larger.open(), frame)
    assert found.percent > 10
    assert pooled([found, found]).percent == pytest.approx(found.percent)


def test_a_student_that_has_nothing_to_say_is_wrong(frames, teacher):
    class Silent:
        elements, cutoff = teacher.elements, teacher.cutoff

        def evaluate(self, atoms):
            raise StructureError("nothing")

    class Lost(Silent):
        def evaluate(self, atoms):
            return replace(teacher.evaluate(atoms), forces=np.full((len(atoms), 3), np.nan))

    for student in (Silent(), Lost()):
        assert frame_error(student, frames[1]).percent == float("inf")
