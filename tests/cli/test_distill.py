"""`distill` from structures to an exported student, and everything that must be refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from m3compress.__main__ import main
from m3compress.api import load_potential
from m3compress.distill.work import BUDGET, SETTINGS
from m3compress.models.structures.crystals import build_crystal
from m3compress.models.student_record import record_of

SPHERES = "ase:ase.calculators.lj:LennardJones?sigma=2.0&epsilon=0.3&rc=4.0&smooth=true"
TINY = 'preset = "fast"\nblocks = 1\nwidth = 8\nmax_n = 2\nmax_l = 2\n'


def run(*arguments: object) -> int:
    """Exit code of the command line in this process."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("quartz.cif", build_crystal("SiO2-quartz"))
    write("salt.xyz", bulk("SiO", "rocksalt", a=4.5), format="extxyz")
    Path("tiny.toml").write_text(TINY)
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("small_zoo", "timed_on_few_atoms")
def test_the_built_in_model_from_structures_to_an_exported_student(folder, capsys):
    command = ["distill", "builtin", "--structures", "quartz.cif", "--student", "tiny.toml"]
    command += ["-o", "q.m3c.safetensors", "--minutes", "0.05", "--rounds", "1", "--threads", "1"]
    command += ["--temperatures", "600", "600"]
    assert run(*command, "--epochs", "2", "--json") == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert [report["number"] for report in document["rounds"]] == [1, 2]
    record = record_of(load_potential(folder / "q.m3c.safetensors"))
    assert document["record"] == record.model_dump(mode="json")
    assert record.teacher["name"] == "builtin"
    assert record.teacher["convention"] == "matgl-4.1"
    assert record.domain.elements == ("O", "Si")
    assert document["speed"]["ratio"] > 3
    for words in ("time", "labels", "round 1", "own trajectories wrong", "validation:"):
        assert words in err
    assert run("inspect", "q.m3c.safetensors") == 0
    assert run("export", "q.m3c.safetensors", "-o", "q.m3c.onnx") == 0
    capsys.readouterr()

    # What is done is not done again, nor lost.
    assert run(*command, "--epochs", "2") == 2
    assert "q.m3c.safetensors exists" in capsys.readouterr().err
    assert run(*command, "--epochs", "2", "--force") == 2
    assert "--resume" in capsys.readouterr().err
    before = load_potential(folder / "q.m3c.safetensors").network.state_dict()
    assert run(*command, "--epochs", "2", "--force", "--resume") == 0
    out, err = capsys.readouterr()
    assert "teacher's dynamics" in out
    assert "m3compress export q.m3c.safetensors" in err
    after = load_potential(folder / "q.m3c.safetensors").network.state_dict()
    assert all((before[name] == after[name]).all() for name in before)


def refused(capsys, *arguments: object) -> str:
    """The complaint of a command that could not run."""
    assert run("distill", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.count("error: ") == 1
    return err


@pytest.mark.parametrize(
    ("teacher", "complaint"),
    [
        ("nowhere.pt", "nowhere.pt"),
        ("ase:no.such.package:Calculator", "no.such.package"),
        ("ase:ase.calculators.lj:Gone", "Gone"),
        ("ase:broken_teachers:Raises", "it never works"),
        ("ase:broken_teachers:NoStress", "stress"),
        ("ase:broken_teachers:Undecided", "changes its answer"),
        ("ase:broken_teachers:Lost", "not finite"),
        ("ase:json:dumps?obj=1", "no ASE calculator"),
    ],
)
def test_a_teacher_that_cannot_be_believed_is_refused(
    folder, capsys, monkeypatch, teacher, complaint
):
    shutil.copy(Path(__file__).parent / "broken_teachers.py", folder)
    monkeypatch.syspath_prepend(str(folder))
    assert complaint in refused(capsys, teacher, "--structures", "salt.xyz")
    assert not Path("salt.m3c.safetensors").exists()


def test_a_teacher_that_does_not_know_an_element_is_refused(folder, capsys):
    write("gold.cif", bulk("Au", cubic=True))
    assert "contains Au" in refused(capsys, "builtin", "--structures", "gold.cif")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--structures", "gone.cif"], "there is no file gone.cif"),
        (["--structures", "tiny.toml"], "tiny.toml"),
        (["--student", "huge"], "no student 'huge'"),
        (["--student", "wrong.toml"], "widht"),
        (["--student", "fast", "--student", "default"], "--ladder trains all"),
        (["--ladder", "--student", "tiny.toml", "--student", "tiny.toml"], "are called tiny"),
        (["--matgl", "matgl", "--student", "fast"], "cannot hold hidden=()"),
        (["--ladder", "--minutes", "0.001"], "too short for one epoch"),
        (["--temperatures", "900", "300"], "the lower one first"),
        (["--temperatures", "0", "300"], "the lower one first"),
        (["--minutes", "0"], "no time"),
        (["--minutes", "0.001"], "too short for one epoch"),
        (["--labels", "gone.xyz"], "there is no file gone.xyz"),
        (["-o", "x.pt"], "does not end in .safetensors"),
        (["-o", "no/x.m3c.safetensors"], "does not exist"),
        (["--work", "occupied"], "something else"),
        (["--rounds", "-1"], "--rounds"),
        (["--threads", "0"], "--threads"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_makes_no_sense_is_refused(folder, capsys, options, complaint):
    Path("wrong.toml").write_text("widht = 3")
    Path("occupied").mkdir()
    Path("occupied/thesis.tex").write_text("years")
    command = [SPHERES, "--cutoff", "4", "--threads", "1"]
    if "--structures" not in options:
        command += ["--structures", "salt.xyz"]
    if options[0] in ("--rounds", "--threads"):
        assert run("distill", *command, *options) == 2
        assert complaint in capsys.readouterr().err
    else:
        assert complaint in refused(capsys, *command, *options)
    assert Path("occupied/thesis.tex").read_text() == "years"


def test_a_work_folder_of_another_run_is_refused_and_nothing_in_it_is_lost(folder, capsys):
    Path("work").mkdir()
    Path("work", SETTINGS).write_text(json.dumps({"teacher": "another", "seed": 3}))
    Path("work", BUDGET).write_text("{}")
    command = [SPHERES, "--structures", "salt.xyz", "--work", "work", "--resume"]
    assert "another distillation: teacher" in refused(capsys, *command)
    assert json.loads(Path("work", SETTINGS).read_text())["seed"] == 3


def test_structures_without_a_cell_and_molecules_are_refused(folder, capsys):
    atoms = bulk("SiO", "rocksalt", a=4.5)
    atoms.pbc = False
    write("molecule.xyz", atoms, format="extxyz")
    assert "not periodic" in refused(capsys, SPHERES, "--structures", "molecule.xyz")
    atoms.positions[:] = np.nan
    atoms.pbc = True
    write("lost.xyz", atoms, format="extxyz")
    refused(capsys, SPHERES, "--structures", "lost.xyz")
