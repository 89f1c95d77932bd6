"""One job of a gate, run again from its note."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from ase.build import bulk

from m3compress.engines.dynamics.job import Job
from m3compress.engines.dynamics.pool import run_here
from m3compress.engines.dynamics.run import JOB, TRAJECTORY, claim_folder, steps_done
from m3compress.models.structures.frames import Named
from m3compress.validate import rerun
from m3compress.validate.controls.broken import RedrawnTriplets, ScaledForces
from m3compress.validate.setup.subject import SubjectSpec

COMMAND = [sys.executable, "-m", "m3compress.validate.rerun"]
#: How long a process may take to begin, on a machine that does much else.
START = 300  # s


@pytest.fixture
def silica_job(silica_zoo: tuple[Named, ...]) -> Callable[..., Job]:
    """``silica_job(spec, ...)``: a short run of quartz with moved atoms."""
    (quartz,) = (named for named in silica_zoo if named.name == "SiO2-quartz-rattled")

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
        return Job(evaluator=spec, structure=quartz.atoms, **{**given, **fields})

    return make


@pytest.mark.parametrize("spoil", [lambda spec: spec, lambda spec: ScaledForces(spec, 0.95)])
def test_the_command_in_a_report_runs_the_job_again(builtin_spec, silica_job, tmp_path, spoil):
    job = silica_job(spoil(replace(builtin_spec, precision="float32")))
    run = run_here(job, tmp_path)
    assert run.broken is None
    words = shlex.split(rerun.command_of(run))
    assert words[:3] == ["python", "-m", "m3compress.validate.rerun"]
    assert words[3:] == [str(run.folder / JOB)]
    right = (run.folder / TRAJECTORY).read_bytes()
    # What the gate saw may be damaged, and stays as it is.
    (run.folder / TRAJECTORY).write_bytes(right[:100])
    again = job.folder(run.folder / "again") / TRAJECTORY
    for _ in range(2):
        subprocess.run([sys.executable, *words[1:]], check=True, capture_output=True)
        assert again.read_bytes() == right
        assert (run.folder / TRAJECTORY).read_bytes() == right[:100]
        again.write_bytes(b"")


@pytest.mark.parametrize(("document", "said"), [(None, "cannot be read"), ("{}", "is not a run")])
def test_what_is_no_note_of_a_run_is_one_error(tmp_path, document, said, monkeypatch, capsys):
    note = tmp_path / "run" / JOB
    if document is not None:
        note.parent.mkdir()
        note.write_text(document)
    monkeypatch.setattr(sys, "argv", ["rerun", str(note)])
    assert rerun.main() == 2
    assert said in capsys.readouterr().err


def contents(folder):
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def test_processes_end_with_a_gate_that_is_killed(artefact_spec, silica_job, tmp_path):
    job = silica_job(artefact_spec, steps=100_000, every=1)
    folder = claim_folder(job, tmp_path)
    command = [*COMMAND, str(folder / JOB)]
    context = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + START
    while not (folder / "step").is_file() and time.monotonic() < deadline:
        assert context.poll() is None
        time.sleep(0.05)
    context.kill()  # and nothing else: its process must see for itself
    context.wait()
    # One that lives writes its step twice a second, as long as the test may take.
    deadline = time.monotonic() + 20
    last, now = [], contents(folder)
    assert len(now) >= 2
    while now != last and time.monotonic() < deadline:
        time.sleep(3.0)
        last, now = now, contents(folder)
    assert now == last


@pytest.mark.slow
def test_a_killed_run_is_resumed_with_the_same_bytes(artefact_spec, silica_job, tmp_path):
    job = silica_job(artefact_spec, every=1, equilibration=50, steps=150)
    whole = run_here(job, tmp_path / "whole").folder
    killed = claim_folder(job, tmp_path / "killed")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    assert steps_done(whole) == 200

    rng = random.Random(0)
    for least in (50, 100):
        process = subprocess.Popen(
            [*COMMAND, str(killed / JOB)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + START
        while steps_done(killed) < least and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.1))
        os.killpg(process.pid, signal.SIGKILL)  # the worker, too
        process.wait()
        assert least <= steps_done(killed) < 200
    done = subprocess.run(
        [*COMMAND, str(killed / JOB)], check=True, env=environment, capture_output=True, text=True
    )
    assert "150 frames" in done.stdout
    assert (killed / TRAJECTORY).read_bytes() == (whole / TRAJECTORY).read_bytes()


def test_the_command_reports_a_broken_run(artefact_spec, tmp_path, monkeypatch, capsys):
    job = Job(
        name="copper",
        evaluator=artefact_spec,
        structure=bulk("Cu", cubic=True),
        ensemble="nvt",
        temperature=300.0,
        timestep=2.0,
        equilibration=50,
        steps=10,
        every=2,
        seed=1,
    )
    folder = claim_folder(replace(job, evaluator=artefact_spec.with_threads(3)), tmp_path)
    (folder / "broken.txt").write_text("after step 0: it exploded")
    monkeypatch.setattr(sys, "argv", ["rerun", str(folder / JOB)])
    assert rerun.main() == 1
    # Copper is no element of the model: it breaks again, and for its own reason.
    assert "Cu" in capsys.readouterr().out


@pytest.mark.parametrize(
    "spoil",
    [
        lambda spec: spec,
        lambda spec: ScaledForces(spec, 0.95),
        lambda spec: RedrawnTriplets(replace(spec, form="pruned=0.5")),
    ],
)
def test_the_note_of_every_subject_is_read(builtin_spec, artefact_spec, silica_job, spoil):
    for spec in (artefact_spec, spoil(builtin_spec)):
        job = silica_job(spec)
        again = Job.from_json(json.loads(json.dumps(job.to_json())), rerun.read_spec)
        assert again.evaluator.with_threads(1) == spec
        assert again.fingerprint() == job.fingerprint()
