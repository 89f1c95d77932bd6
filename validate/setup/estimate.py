"""About how long a run of the gate will take, from a few evaluations on this machine.

What is said is the time on the clock of a machine that has nothing else to do. Evaluations are
timed by the processor: other programs that happen to run now make them slow by the clock, and need
not be there for the hours that follow.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cache
from typing import Final

from ase import Atoms

from m3compress.contract.evaluation import Evaluator, EvaluatorSpec
from m3compress.contract.neighbors import find_edges
from m3compress.engines.dynamics.job import Job
from m3compress.engines.dynamics.run import steps_done
from m3compress.validate.checks.runs import ARMS, plan
from m3compress.validate.checks.sizes import crowded_cells, large_cells
from m3compress.validate.checks.students import FRAMES
from m3compress.validate.checks.survey import crystals_and_alloys, dimers
from m3compress.validate.setup.context import Context

#: The static checks evaluate each structure of the zoo about so often, mostly with the reference.
_STATIC_EVALUATIONS: Final = 60
#: An edge of thousands of atoms costs more than one of sixteen, by about so much.
_OUT_OF_CACHE: Final = 1.7
#: Times below so many seconds are told in steps of so many.
_STEPS: Final = ((150, 5), (600, 30), (7200, 60))
_LARGEST_STEP: Final = 360


def estimate_seconds(context: Context) -> float:
    """Time of the static checks, and of what is left of the dynamics in all processes together."""
    opened = cache(_open)
    reference = opened(replace(context.reference.with_threads(1), precision="float32"))
    static = sum(_processor_time(reference, named.atoms) for named in context.zoo)
    cost: dict[tuple[EvaluatorSpec, int], float] = {}
    dynamics = 0.0
    for job in plan(context).values():
        spec = job.evaluator.with_threads(1)
        key = (spec, len(job.structure))
        if key not in cost:
            cost[key] = min(_processor_time(opened(spec), job.structure) for _ in range(2))
        dynamics += _steps_left(job, context) * cost[key]
    others = _of_exports(context) + _of_labels(context)
    return static * _STATIC_EVALUATIONS + others + dynamics / context.n_workers


def in_words(seconds: float) -> str:
    """A time that was estimated, as it is announced: within 10 % of it, or 5 s.

    Rounded to 5 s below 2.5 minutes, halves of minutes below 10, minutes below 2 hours, and tenths
    of hours.
    """
    step = next((step for below, step in _STEPS if seconds < below), _LARGEST_STEP)
    rounded = max(step, step * round(seconds / step))
    if rounded <= 150:
        return f"{rounded} s"
    return f"{rounded / 60:g} min" if rounded < 7200 else f"{rounded / 3600:g} h"


def _of_exports(context: Context) -> float:
    """Time of the comparisons with the twin on all elements and sizes, edge by edge."""
    if context.twin is None:
        return 0.0
    cells = crystals_and_alloys(context)
    alloy = cells[-1].atoms  # the crystals come first
    large = (*large_cells(context), *crowded_cells(context))
    n_small = sum(_n_edges(context, named.atoms) for named in (*cells, *dimers(context)))
    n_large = sum(_n_edges(context, one.cell) * (len(one.atoms) // len(one.cell)) for one in large)
    candidate, twin = (_open(spec.with_threads(1)) for spec in (context.candidate, context.twin))
    ours, theirs = (
        min(_processor_time(subject, alloy) for _ in range(2)) / _n_edges(context, alloy)
        for subject in (candidate, twin)
    )
    return (ours + theirs) * n_small + _OUT_OF_CACHE * ours * n_large


def _of_labels(context: Context) -> float:
    """Time that a teacher takes for frames of its own trajectories and of its student's."""
    if context.teacher is None:
        return 0.0
    teacher = _open(context.teacher.spec.with_threads(1))
    asked = FRAMES * len(ARMS) * context.profile.n_replicas
    return asked * sum(_processor_time(teacher, sample.atoms) for sample in context.samples)


def _n_edges(context: Context, atoms: Atoms) -> int:
    return len(find_edges(atoms, context.reference_subject.cutoff)[0].centers)


def _open(spec: EvaluatorSpec) -> Evaluator:
    return spec.open()


def _steps_left(job: Job, context: Context) -> int:
    return job.total_steps - steps_done(job.folder(context.trajectories))


def _processor_time(evaluator: Evaluator, atoms: Atoms) -> float:
    start = time.process_time()
    evaluator.evaluate(atoms)
    return time.process_time() - start
