"""The gate of a student on a real one: its teacher itself, and one that was not trained enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from m3compress.api import open_teacher
from m3compress.contract.forms import FACTORIZED
from m3compress.engines.dynamics.job import Job
from m3compress.engines.dynamics.pool import Run, run_here
from m3compress.models.potential import Potential
from m3compress.models.structures.crystals import build_crystal
from m3compress.models.structures.frames import Named
from m3compress.models.student_record import Domain, StudentRecord
from m3compress.validate.checks import students
from m3compress.validate.result import Verdict
from m3compress.validate.run import run_checks
from m3compress.validate.setup.limits import read_limits
from m3compress.validate.setup.profiles import SMOKE
from m3compress.validate.setup.subject import exported

pytestmark = pytest.mark.slow

QUARTZ = build_crystal("SiO2-quartz")
#: Trajectories of a hundredth of those of smoke.
SHORT = replace(
    SMOKE,
    temperature=900.0,
    n_replicas=2,
    equilibration=0.02,
    duration=0.04,
    nve_duration=0.02,
)
#: What needs no distribution: cells are too small for one.
CHOSEN = tuple(
    check
    for check in (*students.STATIC, *students.CHECKS)
    if any(word in check.id for word in ("wall", "force", "energy", "stress", "frame", "temp"))
)


def with_noise(potential: Potential, part: float) -> Potential:
    """Every weight changed by so much of itself, as the file of an earlier training might."""
    copy = potential.to(torch.float64)
    random = torch.Generator().manual_seed(0)
    for weight in copy.network.parameters():
        weight.mul_(1 + part * torch.randn(weight.shape, generator=random, dtype=weight.dtype))
    return copy.with_form(FACTORIZED)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dynamics without processes of their own, which take seconds to begin."""

    def run_jobs(jobs: Sequence[Job], root: Path, *_: object, **__: object) -> list[Run]:
        return [run_here(job, root) for job in jobs]

    monkeypatch.setattr("m3compress.validate.checks.runs.run_jobs", run_jobs)


@pytest.fixture
def verdicts(in_this_process: None, make_context: Any, silica_artefact: Path) -> Any:
    """``verdicts(artefact)``: of each check, against the built-in model as a teacher."""

    def find(artefact: Path) -> dict[str, set[Verdict]]:
        domain = Domain.of([QUARTZ], [300.0, 900.0], 5.0)
        context = make_context(
            exported(artefact, threads=1),
            zoo=(),
            profile=SHORT,
            crystals=(Named("quartz", QUARTZ),),
            samples=(Named("quartz", QUARTZ.repeat((2, 2, 1))),),
            teacher=open_teacher(silica_artefact, [Named("quartz", QUARTZ)]),
            student=StudentRecord(teacher={}, data={}, recipe={}, errors={}, domain=domain),
        )
        found: dict[str, set[Verdict]] = {}
        for result in run_checks(context, read_limits("smoke"), checks=CHOSEN):
            found.setdefault(result.id, set()).add(result.verdict)
        return found

    return find


def test_the_teacher_itself_passes(verdicts: Any, silica_artefact: Path) -> None:
    found = verdicts(silica_artefact)
    assert len(found) == 12
    assert {name for name, how in found.items() if how != {Verdict.PASS}} == set()


def test_a_student_that_was_not_trained_enough_fails_by_its_errors(
    verdicts: Any, write_artefact: Any, builtin_potential: Potential, tmp_path: Path
) -> None:
    path = write_artefact(tmp_path / "raw.m3c.onnx", with_noise(builtin_potential, 0.3))
    failed = {name for name, how in verdicts(path).items() if how == {Verdict.FAIL}}
    assert {"student.force", "student.stress", "student.energy-offset"} <= failed
    assert {"student.own-stress", "student.own-energy-offset"} <= failed
