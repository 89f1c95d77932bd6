"""Molecular dynamics of candidate and reference, compared: what an exported file is for.

All runs of a gate are made once, side by side, and every check reads them. Candidate and reference
start alike and are driven by the same random numbers, replica by replica: what is compared are
averages, and their noise is that of the difference.
"""

from __future__ import annotations

from typing import Final

from m3compress.validate.checks import ensembles, nve, structure_drift
from m3compress.validate.checks.building import Check, on_samples
from m3compress.validate.checks.runs import Runs
from m3compress.validate.rerun import command_of
from m3compress.validate.result import Measurement
from m3compress.validate.setup.context import Context


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


CHECKS: Final[tuple[Check, ...]] = (
    on_samples(
        "md.stability",
        "runs that exploded, lost an atom or gave something that is not a number",
        _stability,
    ),
    *nve.CHECKS,
    *ensembles.CHECKS,
    *structure_drift.CHECKS,
)
