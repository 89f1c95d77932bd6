"""Which runs of molecular dynamics a gate has, and how they are collected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from ase.build import bulk

from m3compress.contract.progress import Progress
from m3compress.engines.dynamics.job import Job
from m3compress.engines.dynamics.pool import Run
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.runs import plan, runs_of, timestep_of
from m3compress.validate.controls.selfcheck import NEGATIVE
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.profiles import CI, SMOKE
from m3compress.validate.setup.subject import TrainedSpec

CARBIDE = bulk("SiC", "zincblende", a=4.36, cubic=True).repeat(2)


def gate_with(**fields: Any) -> Context:
    given: dict[str, Any] = {
        "candidate": TrainedSpec(path="nowhere", name="candidate"),
        "reference": TrainedSpec(path="nowhere", name="reference"),
        "twin": None,
        "profile": CI,
        "zoo": (),
        "crystals": (),
        "samples": (Named("SiC", CARBIDE),),
        "workplace": Path("nowhere"),
        "trajectories": Path("nowhere"),
        **fields,
    }
    return Context(**given)


def test_the_plan_holds_every_run_once_and_is_repeatable():
    context = gate_with(profile=CI, seed=5)
    jobs = plan(context)
    assert len(jobs) == 4 * CI.n_replicas + 1 + len(CI.law_factors)
    # The runs of NVE share a start, and the two arms their random numbers.
    assert len({job.seed for job in jobs.values()}) == 2 * CI.n_replicas + 1
    for ensemble in ("nvt", "npt"):
        ours, theirs = (jobs[f"SiC-{arm}-{ensemble}-1"] for arm in ("candidate", "reference"))
        assert ours == replace(theirs, name=ours.name, evaluator=ours.evaluator)
    assert [job.seed for job in plan(context).values()] == [job.seed for job in jobs.values()]
    assert {job.seed for job in plan(replace(context, seed=6)).values()}.isdisjoint(
        job.seed for job in jobs.values()
    )
    for name, job in jobs.items():
        assert job.name == name
        assert job.steps % job.every == 0
    law = [jobs[f"SiC-candidate-law-{i}"] for i in range(3)]
    assert [job.timestep for job in law] == [2.0, 1.0, 0.5]
    assert len({job.seed for job in law}) == 1
    assert len({job.timestep * job.every for job in law}) == 1
    assert jobs["SiC-reference-nvt-0"].evaluator.precision == "float32"
    assert jobs["SiC-candidate-nve-0"].timestep == 1.0
    short = plan(gate_with(profile=SMOKE))
    assert not [job for job in short.values() if job.ensemble == "npt"]
    assert len(short) == 2 * SMOKE.n_replicas + 1 + 2


def test_hydrogen_has_a_short_time_step():
    context = gate_with()
    assert timestep_of(context, context.samples[0]) == 2.0
    assert timestep_of(context, Named("water", Atoms("H2O"))) == 0.5
    given = gate_with(profile=replace(CI, timestep=0.7))
    assert timestep_of(given, Named("water", Atoms("H2O"))) == 0.7


def record_pools(monkeypatch: pytest.MonkeyPatch) -> list[list[Job]]:
    """Jobs of every call of the pool, which runs none of them."""
    pools: list[list[Job]] = []

    def run_none(jobs: list[Job], root: Path, n: int, progress: Progress) -> list[Run]:
        pools.append(jobs)
        return [Run(job, root, [], None) for job in jobs]

    monkeypatch.setattr("m3compress.validate.checks.runs.run_jobs", run_none)
    return pools


def test_runs_are_collected_by_arm_and_ensemble(monkeypatch):
    names = {"SiC": Named("SiC", CARBIDE), "SiC-2": Named("SiC-2", CARBIDE)}
    pools = record_pools(monkeypatch)
    context = gate_with(samples=tuple(names.values()))
    for runs in runs_of(context):
        name = runs.sample.name
        assert [run.job.name for run in runs.nvt["candidate"]] == [
            f"{name}-candidate-nvt-{i}" for i in range(CI.n_replicas)
        ]
        assert [run.job.name for run in runs.npt["reference"]] == [
            f"{name}-reference-npt-{i}" for i in range(CI.n_replicas)
        ]
        assert runs.nve.job.name == f"{name}-candidate-nve-0"
        assert len(runs.all_of("candidate")) == 2 * CI.n_replicas + 1 + len(CI.law_factors)
        assert len(runs.all_of("reference")) == 2 * CI.n_replicas
    assert len(pools) == 1
    assert len(pools[0]) == len(plan(context))


def test_what_stands_in_for_a_file_moves_no_more_than_it_is_asked_for(monkeypatch):
    """It may have been seen in the first ensemble, and then the others are never run."""
    pools = record_pools(monkeypatch)
    (runs,) = runs_of(gate_with(stand_in=NEGATIVE))
    assert len(runs.nvt["candidate"]) == CI.n_replicas
    assert {job.ensemble for job in pools[0]} == {"nvt"}
    assert runs.nve.job.name == "SiC-candidate-nve-0"
    assert runs.npt["reference"]
    assert runs.nvt["reference"]
    assert [{job.ensemble for job in jobs} for jobs in pools] == [{"nvt"}, {"nve"}, {"npt"}]
