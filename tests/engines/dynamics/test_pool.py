"""Runs side by side, in processes of their own, of the built-in model."""

from __future__ import annotations

import importlib
import multiprocessing
import textwrap
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from m3compress.contract.evaluation import EvaluatorSpec
from m3compress.contract.progress import silent
from m3compress.engines.dynamics import pool
from m3compress.engines.dynamics.job import Job
from m3compress.engines.dynamics.loaded import Loaded
from m3compress.engines.dynamics.pool import run_here, run_jobs
from m3compress.engines.dynamics.run import (
    STATE,
    TRAJECTORY,
    outcome,
    read_frames,
    run_job,
    steps_done,
)
from m3compress.engines.spec import ArtefactSpec
from m3compress.errors import M3CompressError


@pytest.fixture
def silica() -> Atoms:
    """Quartz, in a cell that is oblique and has moved atoms."""
    a, c, u, x, y, z = 4.91, 5.40, 0.47, 0.413, 0.267, 0.119
    third = 1 / 3
    places = [
        *[(u, 0, 2 * third), (0, u, third), (-u, -u, 0)],
        *[(x, y, z + 2 * third), (-y, x - y, z + third), (y - x, -x, z)],
        *[(y, x, -z - 2 * third), (-x, y - x, -z), (x - y, -y, -z - third)],
    ]
    cell = [[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]]
    atoms = Atoms("Si3O6", scaled_positions=np.array(places) % 1, cell=cell, pbc=True)
    atoms.rattle(0.02, seed=0)
    return atoms


@pytest.fixture
def silica_job(silica: Atoms) -> Callable[..., Job]:
    """``silica_job(spec, ...)``: a short run of quartz."""

    def make(spec: EvaluatorSpec, **fields) -> Job:
        given = {
            "name": "quartz",
            "ensemble": "nvt",
            "temperature": 300.0,
            "timestep": 1.0,
            "equilibration": 4,
            "steps": 8,
            "every": 2,
            "seed": 1,
        }
        return Job(evaluator=spec, structure=silica, **{**given, **fields})

    return make


def test_a_job_that_cannot_be_opened_is_broken_and_the_others_finish(
    artefact_spec, silica_job, tmp_path, monkeypatch
):
    garbage = tmp_path / "garbage.m3c.onnx"
    garbage.write_bytes(b"no model")
    bad = ArtefactSpec(path=str(garbage))
    jobs = [silica_job(bad, name="bad"), silica_job(artefact_spec)]
    seen = []
    runs = run_jobs(jobs, tmp_path / "md", 1, lambda what, part: seen.append((what, part)))
    assert [run.job for run in runs] == jobs
    assert runs[0].broken
    assert "garbage" in runs[0].broken or "Artefact" in runs[0].broken
    assert runs[0].frames == []
    assert runs[1].broken is None
    assert len(runs[1].frames) == 4
    assert all(what == "molecular dynamics" and 0 <= part <= 1 for what, part in seen)

    # What is finished is read, not run: no process is started, and nothing is written.
    before = (runs[1].folder / TRAJECTORY).stat().st_mtime_ns
    monkeypatch.setattr(pool, "worker_processes", lambda n: pytest.fail("a process is started"))
    (again,) = run_jobs([jobs[1]], tmp_path / "md", 1, silent)
    assert (again.folder / TRAJECTORY).stat().st_mtime_ns == before
    assert [f.info for f in again.frames] == [f.info for f in runs[1].frames]
    assert steps_done(again.folder) == 12


def test_a_process_that_dies_breaks_its_job_and_can_be_run_again(
    silica_job, artefact_spec, tmp_path
):
    def kill(what, part):
        for process in multiprocessing.active_children():
            process.kill()

    (run,) = run_jobs([silica_job(artefact_spec)], tmp_path, 1, kill)
    assert run.broken == "its process died; run again with --resume"
    assert outcome(run.folder) is None


def test_a_trajectory_torn_by_a_dead_process_is_read_up_to_its_checkpoint(
    make_job, copper, tmp_path
):
    job = make_job(steps=10)
    run_job(job, tmp_path, copper(), lambda step: None)
    folder = job.folder(tmp_path)
    whole = read_frames(folder)
    with (folder / TRAJECTORY).open("ab") as stream:
        stream.write((folder / TRAJECTORY).read_bytes()[:50])
    assert len(read_frames(folder)) == len(whole) == 5
    (folder / STATE).unlink()
    with pytest.raises(M3CompressError, match="damaged"):
        read_frames(folder)


@pytest.mark.parametrize("ensemble", ["nvt", "npt"])
def test_an_exported_file_resumes_with_the_same_bytes(
    artefact_spec, silica_job, tmp_path, monkeypatch, ensemble
):
    # Neighbour tables of a resumed run were searched at other steps: no bit may depend on it.
    monkeypatch.setattr(Job, "segment_steps", property(lambda self: 20))
    job = silica_job(
        artefact_spec, ensemble=ensemble, equilibration=30, steps=60, temperature=900.0
    )
    run_job(job, tmp_path / "whole", artefact_spec.open(), lambda step: None)
    subject = artefact_spec.open()
    for stop in (35, 59, 81):

        def interrupt(step, stop=stop):
            if step == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_job(job, tmp_path / "torn", subject, interrupt)
    run_job(job, tmp_path / "torn", subject, lambda step: None)
    whole, torn = (
        (job.folder(tmp_path / root) / TRAJECTORY).read_bytes() for root in ("whole", "torn")
    )
    assert whole == torn


def test_a_run_in_this_process_takes_what_is_open_and_is_read_back(make_job, copper, tmp_path):
    evaluator = copper()
    job = make_job(evaluator=Loaded(evaluator=evaluator, content="Morse"), equilibration=20)
    job = replace(job, steps=20, every=4)
    run = run_here(job, tmp_path)
    assert run.broken is None
    assert [frame.info["time_fs"] for frame in run.frames] == pytest.approx([8, 16, 24, 32, 40])
    for frame in run.frames:
        expected = copper().evaluate(frame).energy
        assert frame.info["potential_energy"] == pytest.approx(expected, abs=1e-5)
    count = evaluator.count
    assert run_here(job, tmp_path, copper()).frames == run.frames
    assert evaluator.count == count, "what is finished is read, not run"
    # The same weights, opened again, are the same run; others are not.
    reopened = replace(job, evaluator=Loaded(evaluator=copper(), content="Morse"))
    assert reopened.folder(tmp_path) == run.folder
    other = replace(job, evaluator=Loaded(evaluator=copper(), content="retrained"))
    assert other.folder(tmp_path) != run.folder


def test_what_runs_in_this_process_has_the_bytes_of_what_runs_in_another(
    artefact_spec, silica_job, tmp_path
):
    job = silica_job(artefact_spec)
    here = run_here(job, tmp_path / "here")
    (there,) = run_jobs([job], tmp_path / "there", 1, silent)
    files = [(run.folder / TRAJECTORY).read_bytes() for run in (here, there)]
    assert files[0] == files[1]


SPRINGS = """
from dataclasses import dataclass, replace

import numpy as np

from m3compress.contract.evaluation import Evaluation


@dataclass(frozen=True)
class Springs:
    stiffness: float
    cutoff: float = 4.0
    elements: tuple[str, ...] = ("Cu",)

    def open(self):
        return self

    def with_threads(self, threads):
        return self

    def to_json(self):
        return {"stiffness": self.stiffness}

    identity = to_json

    def evaluate(self, atoms):
        home = np.round(atoms.positions / 1.8) * 1.8
        away = atoms.positions - home
        energies = self.stiffness * (away**2).sum(axis=1) / 2
        return Evaluation(
            float(energies.sum()), energies, -self.stiffness * away, np.zeros((3, 3))
        )
"""


def test_any_evaluator_that_can_be_imported_runs_in_processes(make_job, tmp_path, monkeypatch):
    (tmp_path / "springs.py").write_text(textwrap.dedent(SPRINGS))
    monkeypatch.syspath_prepend(tmp_path)
    springs = importlib.import_module("springs").Springs(2.0)
    structure = bulk("Cu", a=3.6, cubic=True)
    job = make_job("nve", evaluator=springs, structure=structure, equilibration=0, steps=40)
    (run,) = run_jobs([job], tmp_path / "md", 1, silent)
    assert run.broken is None
    totals = [f.info["potential_energy"] + f.info["kinetic_energy"] for f in run.frames]
    assert len(totals) == 20
    assert np.ptp(totals) < 1e-3 < np.ptp([f.info["kinetic_energy"] for f in run.frames])
