"""One run: its files, its end, its resumption, its failures."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest

from m3compress.engines.dynamics.job import Job
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


def ignore(step):
    del step


def bytes_of(job, root):
    return (job.folder(root) / TRAJECTORY).read_bytes()


@pytest.fixture
def short_segments(monkeypatch):
    monkeypatch.setattr(Job, "segment_steps", property(lambda self: 20))


@pytest.mark.parametrize("ensemble", ["nve", "nvt", "npt"])
def test_an_interrupted_run_ends_with_the_same_bytes(
    make_job, copper, tmp_path, short_segments, ensemble
):
    job = make_job(ensemble, equilibration=30, steps=70)
    run_job(job, tmp_path / "whole", copper(), ignore)
    assert steps_done(job.folder(tmp_path / "whole")) == 100
    # In the first segment, at borders of segments and of the equilibration, and in between.
    for stop in (1, 19, 20, 21, 30, 31, 57, 70, 99, 100):

        def interrupt(step, stop=stop):
            if step == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_job(job, tmp_path / "torn", copper(), interrupt)
    run_job(job, tmp_path / "torn", copper(), ignore)
    assert bytes_of(job, tmp_path / "torn") == bytes_of(job, tmp_path / "whole")
    assert outcome(job.folder(tmp_path / "torn")) is None


def test_bytes_after_the_last_checkpoint_are_dropped(make_job, copper, tmp_path, short_segments):
    job = make_job("nvt", equilibration=20, steps=40)
    run_job(job, tmp_path / "whole", copper(), ignore)

    def interrupt(step):
        if step == 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(job, tmp_path / "torn", copper(), interrupt)
    with (job.folder(tmp_path / "torn") / TRAJECTORY).open("ab") as stream:
        stream.write(bytes_of(job, tmp_path / "whole")[-700:-100])  # killed while it wrote
    run_job(job, tmp_path / "torn", copper(), ignore)
    assert bytes_of(job, tmp_path / "torn") == bytes_of(job, tmp_path / "whole")


def test_the_same_job_gives_the_same_bytes_and_another_seed_does_not(make_job, copper, tmp_path):
    job = make_job(steps=20)
    for root in ("one", "two"):
        run_job(job, tmp_path / root, copper(), ignore)
    other = replace(job, seed=2)
    run_job(other, tmp_path / "one", copper(), ignore)
    assert bytes_of(job, tmp_path / "one") == bytes_of(job, tmp_path / "two")
    assert bytes_of(job, tmp_path / "one") != bytes_of(other, tmp_path / "one")


def test_a_trajectory_is_read_by_ase_and_holds_what_was_asked_for(make_job, copper, tmp_path):
    job = make_job(steps=40, every=4, equilibration=20)
    ticks = []
    run_job(job, tmp_path, copper(), ticks.append)
    assert ticks == list(range(1, 61))
    folder = job.folder(tmp_path)
    frames = ase.io.read(folder / TRAJECTORY, index=":")
    assert [f.info["time_fs"] for f in frames] == pytest.approx([8 * i for i in range(1, 11)])
    assert len(read_frames(folder)) == 10
    assert frames[0].pbc.all()
    assert np.abs(frames[-1].get_momenta()).max() > 0
    assert json.loads((folder / JOB).read_text())["name"] == "copper-nvt"


def test_a_finished_run_is_not_run_again(make_job, copper, tmp_path):
    job, subject = make_job(steps=10, equilibration=0), copper()
    run_job(job, tmp_path, subject, ignore)
    count = subject.count
    run_job(job, tmp_path, subject, ignore)
    assert subject.count == count


def test_a_job_whose_model_has_moved_goes_on_and_is_repeated_from_there(make_job, copper, tmp_path):
    job = make_job(steps=10)
    run_job(job, tmp_path, copper(), ignore)
    moved = Path(job.evaluator.path).rename(tmp_path / "moved")
    again = replace(job, evaluator=replace(job.evaluator, path=str(moved)))
    folder = claim_folder(again, tmp_path)
    assert steps_done(folder) == job.total_steps
    assert json.loads((folder / JOB).read_text())["evaluator"]["path"] == str(moved)


def test_the_folder_of_another_job_is_refused(make_job, copper, tmp_path):
    job = make_job(steps=10)
    folder = claim_folder(job, tmp_path)
    note = folder / JOB
    note.write_text(json.dumps({**json.loads(note.read_text()), "seed": 99}))
    with pytest.raises(M3CompressError, match="holds another run"):
        run_job(job, tmp_path, copper(), ignore)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda n, e: {"forces": e.forces * 1e4} if n > 30 else {}, "exploded|not a number"),
        (lambda n, e: {"forces": e.forces * np.nan} if n > 30 else {}, "not a number"),
        (lambda n, e: {"energy": np.nan} if n > 30 else {}, "energy is not a number"),
    ],
    ids=["forces times 10000", "forces NaN", "energies NaN"],
)
@pytest.mark.parametrize("ensemble", ["nve", "nvt", "npt"])
def test_an_exploding_run_is_broken_with_a_reason_and_raises_nothing(
    make_job, copper, tmp_path, short_segments, ensemble, change, reason
):
    # A crystal at rest has no forces to multiply.
    job = make_job(ensemble, equilibration=10)
    job.structure.rattle(0.05, seed=0)
    run_job(job, tmp_path, copper(change), ignore)
    folder = job.folder(tmp_path)
    assert (outcome(folder) or "").startswith("after step ")
    assert re.search(reason, outcome(folder) or "")
    frames = read_frames(folder)
    assert 0 < len(frames) < 50
    assert np.isfinite([f.info["potential_energy"] for f in frames]).all()
    # It stays broken, and nothing is computed again.
    subject = copper()
    run_job(job, tmp_path, subject, ignore)
    assert subject.count == 0


def test_a_lost_atom_breaks_a_run(make_job, copper, tmp_path):
    # One atom is pulled off a slab, slowly enough not to be an explosion.
    def pull(n, e):
        forces = e.forces.copy()
        forces[0] = [0, 0, 2.0]
        return {"forces": forces}

    job = make_job("nve", equilibration=0, steps=600)
    job.structure.cell[2, 2] += 30
    job.structure.positions[:, 2] *= -1  # the first atom is on top
    run_job(job, tmp_path, copper(pull), ignore)
    assert "atom 0 (counting from 0) has no neighbour within 5.0 Å" in (
        outcome(job.folder(tmp_path)) or ""
    )


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"no archive"])
def test_a_damaged_checkpoint_is_told(make_job, copper, tmp_path, content):
    job = make_job(steps=10)
    (claim_folder(job, tmp_path) / STATE).write_bytes(content)
    assert steps_done(job.folder(tmp_path)) == 0
    with pytest.raises(M3CompressError, match="damaged"):
        run_job(job, tmp_path, copper(), ignore)


def test_a_damaged_trajectory_is_told(make_job, copper, tmp_path):
    job = make_job(steps=10)
    run_job(job, tmp_path, copper(), ignore)
    path = job.folder(tmp_path) / TRAJECTORY
    whole = path.read_bytes()
    middle = len(whole) // 2
    for content in (
        whole[:-20],
        whole[:middle] + b"\x00\xff\x00" * 5 + whole[middle + 15 :],
        b"no gzip",
        gzip.compress(b"3\nno frames\n"),
    ):
        path.write_bytes(content)
        with pytest.raises(M3CompressError, match="damaged"):
            read_frames(path.parent)
    assert read_frames(tmp_path / "nothing") == []
