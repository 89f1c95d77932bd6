"""Molecular dynamics of candidate and reference, compared: what an exported file is for.

All runs of a gate are made once, side by side, and every check reads them. Candidate and reference
start from the same structures, with seeds of their own: trajectories are never compared frame by
frame, only what is averaged over them.
"""

from __future__ import annotations

from m3compress.validate.checks.ensembles import KINETIC, TEMPERATURE, VOLUME
from m3compress.validate.checks.nve import DRIFT, MOMENTUM, TIMESTEP_LAW, per_sample
from m3compress.validate.checks.runs import Runs
from m3compress.validate.checks.structure_drift import STRUCTURE_CHECKS
from m3compress.validate.rerun import command_of
from m3compress.validate.result import Measurement, Tier
from m3compress.validate.setup.context import Check, Context


def _stability(context: Context, runs: Runs) -> Measurement:
    del context
    broken = [run for run in runs.all_of("candidate") if run.broken is not None]
    others = [run for run in runs.all_of("reference") if run.broken is not None]
    return Measurement(
        structure=runs.sample.name,
        value=float(len(broken)),
        evidence={
            "runs": len(runs.all_of("candidate")),
            "broken": {run.job.name: run.broken for run in broken},
            "reference_broken": {run.job.name: run.broken for run in others},
        },
        command=command_of(broken[0]) if broken else None,
    )


STABILITY = Check(
    id="md.stability",
    tier=Tier.DYNAMICS,
    measures="runs that exploded, lost an atom or gave something that is not a number",
    run=per_sample(_stability),
)

CHECKS: tuple[Check, ...] = (
    STABILITY,
    DRIFT,
    MOMENTUM,
    TIMESTEP_LAW,
    TEMPERATURE,
    KINETIC,
    VOLUME,
    *STRUCTURE_CHECKS,
)
