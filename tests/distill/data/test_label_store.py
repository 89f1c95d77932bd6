"""Labels of a plan: the same whoever makes them, each made once, and none lost to a kill."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soft_spheres

from m3compress.distill.data.label_store import LabelStore, _work, seconds_per_atom
from m3compress.distill.data.labels import largest_force
from m3compress.distill.data.phases import plan_data
from m3compress.errors import M3CompressError, StructureError, TeacherError

#: A program that labels the plan of this folder's fixtures, to be killed.
PROGRAM = """
import pickle, sys
from pathlib import Path

sys.modules["torch"] = None  # which nothing here needs, and others import where it is

if __name__ == "__main__":
    folder, plan, teacher = pickle.loads(Path(sys.argv[1]).read_bytes())
    from m3compress.distill.data.label_store import LabelStore
    LabelStore(folder, plan, teacher).fill(1)
"""


def content(store):
    """Every file of frames by its name."""
    return {path.name: path.read_bytes() for path in (store.folder / "frames").glob("[!.]*")}


def test_labels_are_those_of_the_teacher(labelled, spheres):
    frames = labelled.read("train")
    assert len(frames) == 42
    teacher = spheres.open()
    for frame in frames[::7]:
        said = teacher.evaluate(frame)
        # Eight decimals are kept, of positions too.
        limit = 1e-6 * (1 + largest_force(frame))
        assert frame.get_potential_energy() == pytest.approx(said.energy, abs=limit)
        np.testing.assert_allclose(frame.get_forces(), said.forces, atol=limit)
        np.testing.assert_allclose(frame.get_stress(), said.stress(frame), atol=limit)
        np.testing.assert_allclose(frame.get_potential_energies(), said.energies, atol=limit)
    groups = {split: {f.info["group"] for f in labelled.read(split)} for split in ("train", "test")}
    assert not groups["train"] & groups["test"]
    assert labelled.missing == []
    assert labelled.left_out() == []


def test_a_killed_run_goes_on_where_it_was(labelled, plan, spheres, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "run.pickle").write_bytes(pickle.dumps((tmp_path / "work", plan, spheres)))
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "run.pickle")]
    found = [str(Path(soft_spheres.__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, found))}
    with subprocess.Popen(command, start_new_session=True, env=environment) as process:
        store = LabelStore(tmp_path / "work", plan, spheres)
        deadline = time.monotonic() + 120
        while len(store.missing) == len(plan.groups) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    kept = content(store)
    assert kept
    for name, data in kept.items():
        assert data == content(labelled)[name]
    for group in store.missing:
        store.make(group, spheres.open())
    assert content(store) == content(labelled)


def test_a_worker_that_dies_is_an_error_and_what_is_done_stays(plan, spheres, tmp_path):
    store = LabelStore(tmp_path, plan, spheres)
    for group in plan.groups[:-1]:
        store.make(group, spheres.open())

    def kill(what, part):
        for process in multiprocessing.active_children():
            process.kill()

    with pytest.raises(M3CompressError, match="a worker died"):
        store.fill(1, kill)
    assert store.missing == [plan.groups[-1]]


def test_what_a_worker_meets_can_be_sent_and_raised(plan, spheres, tmp_path):
    gone = replace(spheres, spec=replace(spheres.spec, name="Gone"))
    with pytest.raises(M3CompressError, match=r"cannot be opened.*Gone") as caught:
        _work(LabelStore(tmp_path, plan, gone), plan.groups[0])
    sent = pickle.loads(pickle.dumps(caught.value))
    assert (sent.message, sent.hint) == (caught.value.message, caught.value.hint)
    with pytest.raises(TeacherError, match="Gone"):
        seconds_per_atom(gone, plan)


def test_what_falls_apart_is_kept_out_and_said(rocksalt, spheres, sampling, tmp_path):
    hot = replace(sampling, temperatures=(300.0, 200_000.0))
    store = LabelStore(tmp_path, plan_data([rocksalt], 4.0, hot), spheres)
    for group in store.plan.groups:
        store.make(group, spheres.open())
    left_out = dict(store.left_out())
    assert "broke" in left_out["train-salt-200000"]
    assert "train-salt-300" not in left_out
    names = {frame.info["group"] for frame in store.read("train")}
    assert "train-salt-300" in names
    assert "train-salt-200000" not in names
    assert store.summary()["frames"]["train"]["trajectory"] == 2
    with pytest.raises(StructureError, match=r"no frames to test on.*broke"):
        store.read("test")


def test_violent_frames_are_left_out_and_counted(rocksalt, spheres, sampling, tmp_path):
    plan = plan_data([rocksalt], 4.0, replace(sampling, largest_force=50.0))
    store = LabelStore(tmp_path, plan, spheres)
    (close,) = (group for group in plan.groups if group.kind == "close")
    store.make(close, spheres.open())
    ((name, why),) = store.left_out("train")
    assert name == close.name
    assert "4 frames: forces beyond 50 eV/Å" in why


def test_the_time_is_measured_on_a_phase(plan, spheres):
    assert 1e-6 < seconds_per_atom(spheres, plan) < 1
