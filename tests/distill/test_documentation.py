"""The example of the document runs, and its tables say what the code does."""

from __future__ import annotations

import re
import shutil
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from m3compress.api import load_potential
from m3compress.distill.data.sampling import Sampling
from m3compress.distill.on_policy.settings import OwnDynamics
from m3compress.distill.students import PRESETS, Student, parse_student
from m3compress.distill.training.recipe import Recipe
from m3compress.models.student_record import record_of

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "distillation.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.M | re.S)


@pytest.fixture
def folder(silica_artefact, tmp_path, monkeypatch):
    for path in (silica_artefact, silica_artefact.with_suffix(".json")):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("small_zoo", "timed_on_few_atoms")
def test_the_example_makes_a_student(folder, capsys):
    (block,) = blocks("python")
    names = {"__name__": "__main__"}
    exec(compile(block, DOCUMENT.name, "exec"), names)
    said = capsys.readouterr().out
    assert "error on trajectories that it never saw: " in said
    assert "where it goes by itself: " in said
    record = record_of(load_potential(folder / "quartz.m3c.safetensors"))
    assert record.teacher["name"] == "silica.m3c.onnx"
    assert record.domain.elements == ("O", "Si")
    assert record.data["frames"]["train"]["distorted"] == 12


def test_the_file_of_a_student_is_read():
    block, for_matgl, training = blocks("toml")
    student = parse_student(tomllib.loads(block), DOCUMENT.name)
    assert (student.width, student.hidden, student.form) == (24, (24,), "removed")
    named = set(re.findall(r"`(\w+)`|^(\w+) = |(cutoff_ratio)", TEXT, re.M))
    assert set(Student.model_fields) - {"training"} <= {word for words in named for word in words}
    assert parse_student(tomllib.loads(for_matgl), DOCUMENT.name).hidden == (32, 32)
    recipe = parse_student(tomllib.loads(training), DOCUMENT.name).training
    assert (recipe.optimizer, len(recipe.loss)) == ("adam", 2)


def test_tables_hold_the_defaults():
    for name, student in PRESETS.items():
        assert f"| `{name}` | {student.blocks} | {student.width} |" in TEXT
    amounts = asdict(Sampling().amounts)
    assert f"| {amounts['validation']} and {amounts['test']} |" in TEXT
    for kind in ("distorted", "trajectory", "compressed", "close"):
        assert f"| {amounts[kind]} |" in TEXT
    assert f"{Sampling().largest_force:,g} eV/Å" in TEXT
    for term in Recipe().loss:
        assert re.search(
            rf"`{term.quantity}`.* \| {term.weight:g} per .* \| {term.delta:g} \|", TEXT
        )
    own = OwnDynamics()
    assert f"{own.hotter} of the highest" in TEXT
    assert f"{own.steps} steps each" in TEXT
    assert f"the {own.frames} frames" in TEXT
