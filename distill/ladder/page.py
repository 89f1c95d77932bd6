"""The page of a ladder: a table, and what each student costs against how wrong it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple
from typing import Final, NamedTuple

import numpy as np

from m3compress.analysis.curves import Curve, Plot
from m3compress.analysis.svg.page import Figure, render
from m3compress.distill.ladder.report import (
    HEADINGS,
    Climbed,
    force_error,
    own_error,
    pareto_front,
    rows_of,
)
from m3compress.distill.report import Distilled

_TIME: Final = "processor time (µs/atom)"
_MEMORY: Final = "memory (kB/atom)"
_ERROR: Final = "force error (meV/Å)"


def ladder_page(found: Climbed) -> str:
    """The page, complete in itself.

    Args:
        found: A finished ladder.
    """
    first = next(iter(found.students.values()))
    return render(
        "m3compress.distill.ladder",
        "page.html",
        teacher=found.teacher,
        front=found.front,
        lost=found.lost,
        headings=HEADINGS,
        rows=[astuple(row) for row in rows_of(found)],
        domain=str(first.record.domain),
        n_atoms=first.speed.n_atoms,
        figures=list(_figures(found)),
    )


def _figures(found: Climbed) -> Iterator[Figure]:
    values = found.students.values()
    times = _Axis(_TIME, [1e6 * one.speed.student for one in values])
    memories = _Axis(_MEMORY, [one.speed.student_bytes / 1e3 for one in values])
    yield _figure(found, "on the teacher's trajectories", times, force_error)
    yield _figure(found, "on its own, hotter trajectories", times, own_error)
    yield _figure(found, "memory", memories, force_error)


class _Axis(NamedTuple):
    """What each student costs, and how that is called."""

    label: str
    costs: list[float]


def _figure(
    found: Climbed, caption: str, axis: _Axis, error: Callable[[Distilled], float]
) -> Figure:
    """A dot for every student, and a line through those that none beats."""
    plot = Plot(figure=caption, structure="", x_label=axis.label, y_label=_ERROR)
    errors = [error(one) for one in found.students.values()]
    points = list(zip(axis.costs, errors, strict=True))
    dots = [_dot(plot, name, point) for name, point in zip(found.students, points, strict=True)]
    front = np.array([points[index] for index in pareto_front(points)]).reshape(-1, 2)
    return Figure.of(caption, [*dots, plot.line("front", front[:, 0], front[:, 1])])


def _dot(plot: Plot, name: str, point: tuple[float, float]) -> Curve:
    return plot.scatter(name, *(np.array([value]) for value in point))
