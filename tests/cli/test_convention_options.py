"""``--convention`` and ``--labels`` reach whatever opens a model whose file leaves it open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from m3compress import api, benchmark
from m3compress.__main__ import main
from m3compress.commands import bench, teacher
from m3compress.models.potential import Potential
from m3compress.validate.setup.settings import Settings


class _Asked(BaseException):
    """What was asked for; it ends what was to be watched."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__()
        self.given, self.named = given, named


def _watch(*given: Any, **named: Any) -> Any:
    raise _Asked(*given, **named)


def test_bench_opens_the_model_as_it_is_told(
    silica_artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "measure", _watch)
    words = ["--against", str(tmp_path), "--convention", "matgl-3", "--labels", "dft.xyz"]
    with pytest.raises(_Asked) as asked:
        main(["bench", str(silica_artefact), *words])
    (_, reference), *_ = asked.value.given
    assert reference.kind == "triplets"  # another convention than that of today's matgl
    monkeypatch.setattr(api, "load_potential", _watch)
    with pytest.raises(_Asked) as opened:
        reference.open()
    assert opened.value.named == {"convention": "matgl-3", "labels": Path("dft.xyz")}


def test_bench_reads_the_model_in_the_convention_that_is_given(shared: Path) -> None:
    model = str(shared / "models" / "M3GNet-r2SCAN-NaBH")
    read = benchmark.Candidate("x", "triplets", model, 1, convention="matgl-4.1").open()
    assert isinstance(read, Potential)
    assert read.config.convention.name == "matgl-4.1"


def test_the_teacher_of_the_gate_is_opened_with_the_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher, "open_teacher", _watch)
    labels = tmp_path / "dft.xyz"
    settings = Settings(artefact=tmp_path, model="builtin", labels=labels)
    given = teacher.with_given_teacher(settings, "model", tmp_path).teacher
    assert given is not None
    with pytest.raises(_Asked) as asked:
        given.open([])
    assert asked.value.named["labels"] == labels


@pytest.mark.parametrize("ladder", [False, True])
@pytest.mark.parametrize("labelled", [True, False])
def test_the_teacher_of_a_distillation_is_opened_with_labels_that_have_forces(
    labelled: bool, ladder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "open_teacher", _watch)
    write(tmp_path / "phases.xyz", bulk("SiO", "rocksalt", a=4.5), format="extxyz")
    write(tmp_path / "dft.xyz", [_frame(forces=True), _frame(forces=labelled)], format="extxyz")
    words = ["distill", "builtin", "--structures", tmp_path / "phases.xyz"]
    words += ["--labels", tmp_path / "dft.xyz", "-o", tmp_path / "s.m3c.safetensors"]
    with pytest.raises(_Asked) as asked:
        main([str(word) for word in [*words, *(["--ladder"] if ladder else [])]])
    assert asked.value.named["labels"] == (tmp_path / "dft.xyz" if labelled else None)


def _frame(*, forces: bool) -> Atoms:
    atoms = bulk("Si")
    if forces:
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=[[0.0] * 3] * 2)
    return atoms
