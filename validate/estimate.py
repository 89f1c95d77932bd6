"""About how long a run of the gate will take, from a few evaluations on this machine."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

from ase import Atoms

from m3compress.validate.check import Gate
from m3compress.validate.checks.runs import plan
from m3compress.validate.simulation.job import Job
from m3compress.validate.simulation.run import steps_done
from m3compress.validate.subject import Subject

#: The static checks evaluate each structure of the zoo about so often, mostly with the reference.
_STATIC_EVALUATIONS: Final = 60
#: A step of molecular dynamics on one thread, over an evaluation on all of them.
_ONE_THREAD: Final = 1.5


def estimate_seconds(gate: Gate) -> float:
    """Time of the static checks and of what is left of the molecular dynamics."""
    reference = replace(gate.reference, precision="float32").open()
    subjects = {gate.candidate: gate.candidate_subject}
    static = sum(_time(reference, named.atoms) for named in gate.zoo) * _STATIC_EVALUATIONS
    cost: dict[tuple[bool, int], float] = {}
    dynamics = 0.0
    for job in plan(gate).values():
        subject = subjects.get(job.subject, reference)
        key = (subject is reference, len(job.structure))
        if key not in cost:
            cost[key] = min(_time(subject, job.structure) for _ in range(2)) * _ONE_THREAD
        dynamics += _steps_left(job, gate) * cost[key]
    return static + dynamics / gate.n_workers


def _steps_left(job: Job, gate: Gate) -> int:
    return job.total_steps - steps_done(job.folder(gate.trajectories))


def _time(subject: Subject, atoms: Atoms) -> float:
    start = time.perf_counter()
    subject.evaluate(atoms)
    return time.perf_counter() - start
