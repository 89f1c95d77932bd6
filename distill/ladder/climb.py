"""Trains the students of a ladder one after another: what is labelled for one is there for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from m3compress.contract.files import write_atomically
from m3compress.distill.budget import Budget
from m3compress.distill.ladder.page import ladder_page
from m3compress.distill.ladder.report import Climbed
from m3compress.distill.pipeline import Distillation
from m3compress.distill.report import Reporter
from m3compress.distill.speed import compare_speed
from m3compress.distill.students import Student
from m3compress.distill.work import decided_once
from m3compress.errors import OutputExistsError
from m3compress.models.readers.native import require_writable

_SUFFIX: Final = ".m3c.safetensors"


@dataclass(frozen=True)
class Ladder:
    """Students of one teacher.

    Attributes:
        shared: What they share; the student of its settings does not matter.
        students: By name, at least one.
    """

    shared: Distillation
    students: Mapping[str, Student]

    @cached_property
    def rungs(self) -> dict[str, Distillation]:
        """The distillation of every student, its time decided."""
        decided = decided_once(self.shared.work, self.shared.teacher, self._divide)
        return {
            name: replace(alone, decided=Budget.from_json(decided[name]))
            for name, alone in self._alone().items()
        }

    def run(self, output: Path, *, force: bool = False) -> Climbed:
        """Train all of them; files are written once all have learned.

        Args:
            output: ``NAME.m3c.safetensors``, which gives ``NAME-STUDENT.m3c.safetensors`` and
                ``NAME.ladder.html``.
            force: Replace existing files.

        Raises:
            StructureError: If a split has no frames left.
            M3CompressError: If the time is too short, the teacher fails, or a training diverges.
        """
        for rung in self._alone().values():
            rung.require_expressible(force=force)
        self._announce()
        first = next(iter(self.rungs.values()))
        first.label()
        learned = {}
        for name, rung in self.rungs.items():
            self.shared.reporter.say("rung", name)
            learned[name] = rung.learn()
        artefacts = [one.artefact for one in learned.values()]
        speeds = compare_speed(artefacts, self.shared.teacher.spec, first.timed_on)
        found = Climbed(
            page=page_of(output),
            teacher=self.shared.teacher.name,
            students={
                name: learned[name].written(
                    output_of(output, name), speed, force=force, matgl=self.rungs[name].matgl
                )
                for name, speed in zip(learned, speeds, strict=True)
            },
        )
        write_atomically(found.page, ladder_page(found).encode())
        return found

    def _alone(self) -> dict[str, Distillation]:
        """The students, each with a folder of its own within that of the labels."""
        shared, alone = self.shared, {}
        for name, student in self.students.items():
            folder = shared.work / "students" / name
            folder.mkdir(parents=True, exist_ok=True)
            alone[name] = replace(
                shared,
                settings=replace(shared.settings, student=student),
                work=folder,
                labels=shared.work,
                matgl=None if shared.matgl is None else shared.matgl / name,
                reporter=Reporter(say=shared.reporter.say, progress=shared.reporter.progress),
            )
        return alone

    def _divide(self) -> dict[str, Any]:
        # Measured once: were it not, students would get different frames.
        seconds = self.shared.seconds_of_teacher()
        return {name: one.divide(seconds).to_json() for name, one in self._alone().items()}

    def _announce(self) -> None:
        next(iter(self.rungs.values())).announce_plan()
        for name, rung in self.rungs.items():
            self.shared.reporter.say("rung", name)
            rung.announce_student()
        budgets = [rung.budget for rung in self.rungs.values()]
        alone = [one.minutes - one.label_seconds / 60 for one in budgets]
        minutes = budgets[0].label_seconds / 60 + sum(alone)
        self.shared.reporter.say("time", f"about {minutes:.3g} min in all: labels are made once")


def output_of(output: Path, name: str) -> Path:
    """The file of a student."""
    return output.with_name(f"{output.name.removesuffix(_SUFFIX)}-{name}{_SUFFIX}")


def page_of(output: Path) -> Path:
    """The page that compares them."""
    return output.with_name(f"{output.name.removesuffix(_SUFFIX)}.ladder.html")


def require_free(output: Path, students: Mapping[str, Student], *, force: bool) -> None:
    """Refuse places that a ladder cannot write to, before anything slow begins.

    Raises:
        OutputExistsError: If a file is in the way and ``force`` is not given.
        M3CompressError: If there is no such folder, or the name is not that of a student.
    """
    require_writable(output, force=True)
    for name in students:
        require_writable(output_of(output, name), force=force)
    page = page_of(output)
    if page.exists() and not force:
        raise OutputExistsError(f"{page} exists", hint="`--force` overwrites it")
