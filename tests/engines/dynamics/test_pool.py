"""Runs side by side, in processes of their own, of the built-in model."""

from __future__ import annotations

import multiprocessing
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from m3compress.contract.progress import silent
from m3compress.engines.dynamics.job import Job
from m3compress.engines.dynamics.pool import run_jobs
from m3compress.engines.dynamics.run import (
    JOB,
    STATE,
    TRAJECTORY,
    claim_folder,
    outcome,
    read_frames,
    run_job,
    steps_done,
)
from m3compress.errors import M3CompressError
from m3compress.validate.setup.subject import SubjectSpec


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

    def make(spec: SubjectSpec, **fields) -> Job:
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
        return Job(subject=spec, structure=silica, **{**given, **fields})

    return make


def test_a_job_that_cannot_be_opened_is_broken_and_the_others_finish(
    builtin_spec, silica_job, tmp_path
):
    garbage = tmp_path / "garbage.m3c.onnx"
    garbage.write_bytes(b"no model")
    bad = SubjectSpec(kind="artefact", path=str(garbage), name="artefact")
    jobs = [silica_job(bad, name="bad"), silica_job(builtin_spec)]
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
    start = time.perf_counter()
    (again,) = run_jobs([jobs[1]], tmp_path / "md", 1, silent)
    assert time.perf_counter() - start < 0.5
    assert (again.folder / TRAJECTORY).stat().st_mtime_ns == before
    assert [f.info for f in again.frames] == [f.info for f in runs[1].frames]

    # The command runs the job again from its note: it finds it finished.
    assert shlex.split(again.command)[-1] == str(again.folder / JOB)
    assert steps_done(again.folder) == 12


def test_a_process_that_dies_breaks_its_job_and_can_be_run_again(
    silica_job, builtin_spec, tmp_path
):
    def kill(what, part):
        for process in multiprocessing.active_children():
            process.kill()

    (run,) = run_jobs([silica_job(builtin_spec)], tmp_path, 1, kill)
    assert run.broken == "its process died; run again with --resume"
    assert outcome(run.folder) is None


def test_processes_end_with_a_gate_that_is_killed(builtin_spec, silica_job, tmp_path):
    job = silica_job(builtin_spec, steps=10_000, every=1)
    folder = claim_folder(job, tmp_path)
    command = [sys.executable, "-m", "m3compress.engines.dynamics", str(folder / JOB)]
    context = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (folder / "step").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    context.kill()  # and nothing else: its process must see for itself
    context.wait()
    time.sleep(1.0)
    last = [path.read_bytes() for path in sorted(folder.iterdir())]
    assert len(last) >= 2
    time.sleep(2.0)
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == last


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


@pytest.mark.slow
def test_a_killed_run_is_resumed_with_the_same_bytes(artefact_spec, silica_job, tmp_path):
    job = silica_job(artefact_spec, every=1, equilibration=100, steps=300)
    roots = [tmp_path / "whole", tmp_path / "killed"]
    whole, killed = (claim_folder(job, root) for root in roots)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "m3compress.engines.dynamics"]
    subprocess.run([*command, str(whole / JOB)], check=True, env=environment, capture_output=True)
    assert steps_done(whole) == 400

    rng = random.Random(0)
    for least in (100, 200):
        process = subprocess.Popen(
            [*command, str(killed / JOB)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while steps_done(killed) < least and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.1))
        os.killpg(process.pid, signal.SIGKILL)  # the worker, too
        process.wait()
        assert least <= steps_done(killed) < 400
    done = subprocess.run(
        [*command, str(killed / JOB)], check=True, env=environment, capture_output=True, text=True
    )
    assert "300 frames" in done.stdout
    assert (killed / TRAJECTORY).read_bytes() == (whole / TRAJECTORY).read_bytes()


def test_the_command_reports_a_broken_run(make_job, tmp_path, monkeypatch, capsys):
    from m3compress.engines.dynamics import __main__ as command

    job = make_job(steps=10)
    folder = claim_folder(replace(job, subject=job.subject.with_threads(3)), tmp_path)
    (folder / "broken.txt").write_text("after step 0: it exploded")
    monkeypatch.setattr(sys, "argv", ["simulation", str(Path(folder) / JOB)])
    assert command.main() == 1
    assert "it exploded" in capsys.readouterr().out
