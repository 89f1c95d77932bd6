"""The study of trainings in ``examples/paper``, with networks that learn next to nothing."""

from __future__ import annotations

import importlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from m3compress.distill.data.label_store import LabelStore
from m3compress.distill.data.sampler import Trajectory
from m3compress.engines.dynamics.pool import run_here

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "paper"
NAMES = ("plan", "findings", "present", "trainings", "training")


@pytest.fixture
def study(monkeypatch):
    """The module, with everything in this process."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    training, trainings = (importlib.import_module(name) for name in ("training", "trainings"))
    in_pytorch = trainings.open_teacher

    def fill(store, n_workers):
        for group in store.missing:
            store.make(group, store.teacher.open())

    monkeypatch.setattr(trainings, "open_teacher", lambda name, on, work: in_pytorch(name, on))
    monkeypatch.setattr(trainings, "PHASES", ("SiO2-quartz",))
    monkeypatch.setattr(trainings, "TEMPERATURES", (300.0, 600.0))
    short = partial(trainings.Sampling, trajectory=Trajectory(skipped=2, stride=1))
    monkeypatch.setattr(trainings, "Sampling", short)
    monkeypatch.setattr("m3compress.analysis.statistics.arms._N_DRAWS", 20)
    monkeypatch.setattr(LabelStore, "fill", fill)
    monkeypatch.setattr(training, "worker_processes", lambda n: ThreadPoolExecutor(1))
    monkeypatch.setattr(training, "run_jobs", lambda j, root, n, p: [run_here(x, root) for x in j])
    yield training
    for name in NAMES:
        sys.modules.pop(name, None)


def test_models_are_trained_run_and_compared(study, tmp_path, monkeypatch, capsys):
    tiny = study.Size(
        dropped=(0.0, 1.0),
        n_seeds=2,
        width=4,
        steps=4,
        amounts=study.amounts(4, 2, 1, 1),
        n_atoms=9,
        equilibration=0,
        sampled=4,
        every=2,
    )
    monkeypatch.setitem(study.SIZES, "reduced", tiny)
    document = tmp_path / "paper.md"
    document.write_text(f"before\n{study.BEGIN}\nold\n<!-- end -->\nafter\n")
    words = ["training", "--work", str(tmp_path), "--document", str(document)]
    monkeypatch.setattr(sys, "argv", words)
    study.main()
    found = json.loads((tmp_path / "results.json").read_text())
    models = {(m["routing"], m["dropped"], m["seed"]): m for m in found["models"]}
    assert len(models) == 8
    # A block that works, and one of which nothing is left.
    right, bare = models["right", 0.0, 0], models["right", 1.0, 0]
    assert right["share_percent"] > 0.1
    assert bare["share_percent"] == 0
    assert right["errors"]["trained"] == right["errors"]["all"] != right["errors"]["none"]
    assert bare["errors"]["trained"] == bare["errors"]["none"] != bare["errors"]["all"]
    # Without triplets, no bond is the wrong one.
    assert models["misrouted", 1.0, 0]["errors"]["none"] == bare["errors"]["none"]
    assert models["misrouted", 0.0, 0]["errors"]["all"] != right["errors"]["all"]
    assert {drift["arm"] for drift in found["drifts"]} >= {"right-0", "teacher again"}
    assert not found["broken"]
    text = document.read_text()
    assert text.startswith("before")
    assert "old" not in text
    assert capsys.readouterr().out.strip() in text
    assert (tmp_path / "training.png").stat().st_size > 10_000

    # What is there is only read.
    monkeypatch.setattr(study, "learn", None)
    monkeypatch.setattr("m3compress.engines.dynamics.pool.run_job", None)
    store = study.labels_of(tiny, tmp_path)
    assert study.train_all(tiny, store, tmp_path / "models", 1) == found["models"]
    assert set(study.run_all(tiny, store, tmp_path, 1)) == {d["arm"] for d in found["drifts"]} | {
        "teacher"
    }
