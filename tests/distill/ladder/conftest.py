"""A ladder that nobody climbed: its numbers are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from m3compress.distill.ladder.report import Climbed
from m3compress.distill.on_policy.judge import FrameError, Judged
from m3compress.distill.on_policy.round import RoundReport
from m3compress.distill.report import Distilled
from m3compress.distill.speed import Speed
from m3compress.models.student_record import Domain, Errors, StudentRecord


def student(name: str, microseconds: float, force: float, own: float | None) -> Distilled:
    errors = {"test": Errors(energy_mae=1.0, force_mae=force, force_percent=force / 10)}
    if own is not None:
        errors["own"] = Errors(energy_mae=2.0, force_mae=own, force_percent=own / 20)
    domain = Domain(elements=("O",), temperatures=None, shortest={}, densities=(1.0, 2.0))
    judged = Judged(name="hot", broken="", worst=None, wrong=own is None)
    last = RoundReport(
        number=1,
        steps=9,
        validation=FrameError(force, 1.0),
        own=None,
        limit=2.5,
        judged=(judged, judged),
        n_learned=0,
    )
    return Distilled(
        path=Path(f"x-{name}.m3c.safetensors"),
        record=StudentRecord(teacher={}, data={}, recipe={}, errors=errors, domain=domain),
        rounds=(last,),
        speed=Speed(
            n_atoms=400,
            student=1e-6 * microseconds,
            teacher=1e-4,
            ratio=100 / microseconds,
            student_bytes=900.0 * microseconds,
            teacher_bytes=1e5,
        ),
        n_parameters=1234,
    )


@pytest.fixture(scope="session")
def climbed() -> Climbed:
    """Of three students, the second is slower than the third, and no better."""
    return Climbed(
        page=Path("x.ladder.html"),
        teacher="<b>teacher</b>",
        students={
            "small": student("small", 5.0, 60.0, None),
            "clumsy": student("clumsy", 20.0, 40.0, 50.0),
            "large": student("large", 10.0, 40.0, 45.0),
        },
    )
