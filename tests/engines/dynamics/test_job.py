"""What a run is, and which folder is its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from m3compress.engines.dynamics.job import Job
from m3compress.engines.spec import ArtefactSpec
from m3compress.errors import M3CompressError


def test_a_job_survives_json(make_job):
    job = make_job("npt", pressure=1.5, structure=bulk("Cu") * (2, 1, 1))
    again = Job.from_json(json.loads(json.dumps(job.to_json())), ArtefactSpec.from_json)
    assert again.structure == job.structure
    assert replace(again, structure=job.structure) == job
    assert again.fingerprint() == job.fingerprint()


@pytest.mark.parametrize("document", [{}, {"name": "x"}, {"structure": {}, "evaluator": {"a": 1}}])
def test_a_document_that_is_no_job_is_refused(document):
    with pytest.raises(M3CompressError, match="not a run of m3compress"):
        Job.from_json(document, ArtefactSpec.from_json)


def test_the_folder_depends_on_everything_that_decides_the_result(make_job, tmp_path):
    job = make_job()
    moved = job.structure.copy()
    moved.positions[0, 0] += 1e-9
    others = [
        replace(job, **change)
        for change in (
            {"seed": 2},
            {"temperature": 301.0},
            {"friction": 0.03},
            {"steps": 102},
            {"structure": moved},
            {"evaluator": replace(job.evaluator, device="cuda")},
        )
    ]
    folders = {one.folder(tmp_path) for one in (job, *others)}
    assert len(folders) == 1 + len(others)
    assert all(folder.name.startswith("copper-nvt-") for folder in folders)
    # The number of threads decides how long it takes, and nothing else.
    assert replace(job, evaluator=job.evaluator.with_threads(4)).folder(tmp_path) in folders
    # Other weights in the same file are another run.
    Path(job.evaluator.path).write_bytes(b"retrained")
    assert job.folder(tmp_path) not in folders


@pytest.mark.parametrize(
    ("n_atoms", "every", "steps"),
    [(1, 1, 100), (8, 5, 500), (100, 5, 100), (1000, 5, 10), (10_000, 5, 5), (1000, 40, 40)],
)
def test_segments_are_short_for_large_structures_and_a_hundred_frames_for_small_ones(
    make_job, n_atoms, every, steps
):
    job = make_job(structure=Atoms("Cu" * n_atoms, np.zeros((n_atoms, 3))), every=every)
    assert job.segment_steps == steps
    assert job.segment_steps % every == 0
