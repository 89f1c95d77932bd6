"""What a ladder shows: errors, cost and memory of every student, and which of them are worth it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m3compress.distill.on_policy.round import OWN
from m3compress.distill.report import Distilled


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which points no other one beats, by ascending cost.

    A point is beaten by one that is not worse in cost and error, and better in one of them.

    Args:
        points: Cost and error of each; one that is not finite is beaten.
    """
    front: list[int] = []
    best = math.inf
    for index in sorted(range(len(points)), key=lambda i: points[i]):
        cost, error = points[index]
        if math.isfinite(cost) and error < best:
            front.append(index)
            best = error
    return front


@dataclass(frozen=True, slots=True, kw_only=True)
class Climbed:
    """The students of a ladder.

    Attributes:
        page: Where they are compared for people.
        teacher: Name of it.
        students: By name, in the order in which they were asked for.
    """

    page: Path
    teacher: str
    students: Mapping[str, Distilled]

    @property
    def front(self) -> list[str]:
        """Students that no other one beats in both force error and time, the fastest first."""
        points = [(one.speed.student, force_error(one)) for one in self.students.values()]
        names = list(self.students)
        return [names[index] for index in pareto_front(points)]

    @property
    def lost(self) -> list[str]:
        """Students that are wrong in their own dynamics, whatever their errors elsewhere."""
        return [name for name, one in self.students.items() if one.rounds[-1].n_wrong]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "page": str(self.page),
            "teacher": self.teacher,
            "front": self.front,
            "lost": self.lost,
            "students": {name: one.to_json() for name, one in self.students.items()},
        }


def force_error(student: Distilled) -> float:
    """On the teacher's trajectories, in meV/Å."""
    return student.record.errors["test"].force_mae


def own_error(student: Distilled) -> float:
    """On the student's own trajectories at its highest temperature, in meV/Å.

    NaN where the teacher has nothing to say to any of them.
    """
    errors = student.record.errors.get(OWN)
    return math.nan if errors is None else errors.force_mae


@dataclass(frozen=True, slots=True)
class Row:
    """A student as a line of a table, in words.

    Attributes:
        name: Of the student; a star if it is on the front.
        parameters: How many.
        energy: Error on the teacher's trajectories in meV/atom.
        force: The same in meV/Å.
        percent: The same in %.
        stress: The same in GPa.
        own: Force error on its own trajectories in meV/Å.
        wrong: In how many of those it is wrong.
        time: Of the processor in µs per atom and step.
        faster: Than its teacher.
        memory: In kB per atom.
    """

    name: str
    parameters: str
    energy: str
    force: str
    percent: str
    stress: str
    own: str
    wrong: str
    time: str
    faster: str
    memory: str


#: Headings of the fields of a row, with their units.
HEADINGS = (
    "student",
    "parameters",
    "E, meV/atom",
    "F, meV/Å",
    "F, %",
    "S, GPa",
    "own F, meV/Å",
    "own wrong",
    "µs/atom",
    "faster",
    "kB/atom",
)


def rows_of(found: Climbed) -> list[Row]:
    """All students, and the teacher last."""
    front = found.front
    rows = [_row(name + ("*" if name in front else ""), s) for name, s in found.students.items()]
    speed = next(iter(found.students.values())).speed
    blank = dict.fromkeys(Row.__slots__, "")
    teacher = {
        "name": found.teacher,
        "time": f"{1e6 * speed.teacher:.0f}",
        "faster": "1.0×",
        "memory": f"{speed.teacher_bytes / 1e3:.1f}",
    }
    return [*rows, Row(**{**blank, **teacher})]


def _row(name: str, student: Distilled) -> Row:
    errors, own, last = student.record.errors["test"], own_error(student), student.rounds[-1]
    return Row(
        name=name,
        parameters=f"{student.n_parameters:,}",
        energy=f"{errors.energy_mae:.2f}",
        force=f"{errors.force_mae:.1f}",
        percent=f"{errors.force_percent:.1f}",
        stress="" if errors.stress_mae is None else f"{errors.stress_mae:.3f}",
        own="" if math.isnan(own) else f"{own:.1f}",
        wrong=f"{last.n_wrong} of {len(last.judged)}",
        time=f"{1e6 * student.speed.student:.0f}",
        faster=f"{student.speed.ratio:.1f}×",
        memory=f"{student.speed.student_bytes / 1e3:.1f}",
    )
