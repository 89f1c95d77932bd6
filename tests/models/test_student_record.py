"""The file of a student: a model like any other, which says how it came to be."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import bulk

from m3compress.api import load_potential
from m3compress.contract.backends import BACKENDS, looks_exported, manifest_path
from m3compress.distill.students import Student
from m3compress.engines.artefact import load_artefact
from m3compress.errors import ArtefactError, CheckpointError, StructureError
from m3compress.export.onnx.build import describe
from m3compress.export.write import output_path
from m3compress.models.network import M3GNet
from m3compress.models.potential import Potential, Provenance
from m3compress.models.readers.native import description_path
from m3compress.models.student_record import Domain, Errors, StudentRecord, record_of, write_student


@pytest.fixture
def potential():
    student = Student(width=4, elements=("O", "Si"))
    return Potential(
        network=M3GNet(student.config(["O"], 5.0)),
        form=student.three_body,
        element_energies=np.array([-1.5, -2.5]),
        energy_offset=0.0,
        provenance=Provenance(format="m3compress", path="", sha256=""),
    )


@pytest.fixture
def record():
    frames = [bulk("SiO", "rocksalt", a=4.5), bulk("Si", a=4.9)]
    return StudentRecord(
        teacher={"name": "springs", "sha256": "ab"},
        data={"train": {"distorted": 6}},
        recipe={"epochs": 3},
        errors={"test": Errors(energy_mae=0.61, force_mae=28.7, force_percent=4.1)},
        domain=Domain.of(frames, [300.0, 1200.0], cutoff=4.0),
    )


def test_the_domain_is_that_of_the_frames():
    silicon = bulk("Si", a=5.431)
    found = Domain.of([silicon, bulk("Si", a=5.0)], [], cutoff=4.0)
    assert found.elements == ("Si",)
    assert found.temperatures is None
    assert found.shortest["Si-Si"] == pytest.approx(5.0 * np.sqrt(3) / 4, abs=1e-3)
    assert found.densities[0] == pytest.approx(2.329, abs=0.002)  # g/cm³, measured
    with pytest.raises(StructureError, match="no frames"):
        Domain.of([], [300.0], cutoff=4.0)


def test_a_student_is_a_model_that_says_where_it_is_from(potential, record, tmp_path):
    path = tmp_path / "silica.m3c.safetensors"
    write_student(potential, record, path)
    found = load_potential(path)
    assert record_of(found) == record
    assert found.provenance.shortest == record.domain.shortest
    assert (found.form, found.config) == (potential.form, potential.config)
    for name, value in potential.network.state_dict().items():
        assert torch.equal(found.network.state_dict()[name].to(value.dtype), value)
    manifest = describe(found, reason="a test")
    assert manifest.shortest_distances == record.domain.shortest
    assert manifest.source.sha256 == found.provenance.sha256
    # Written again, it is the same student.
    again = tmp_path / "again.m3c.safetensors"
    write_student(found, record, again)
    assert record_of(load_potential(again)) == record


def test_models_that_are_no_students_have_no_record(builtin_potential):
    assert record_of(builtin_potential) is None


@pytest.mark.parametrize("edit", [{"domain": None}, {"teacher": 3}, {"extra": 1}])
def test_a_record_that_makes_no_sense_is_refused(potential, record, edit):
    document = {**record.model_dump(mode="json"), **edit}
    origin = replace(potential.provenance, record={"student": document})
    with pytest.raises(CheckpointError, match="not the record of a student"):
        record_of(replace(potential, provenance=origin))


def test_inspect_shows_whom_a_student_copies(potential, record, tmp_path, capsys):
    from m3compress.commands.inspect import run

    path = tmp_path / "silica.m3c.safetensors"
    write_student(potential, record, path)
    assert run(file=str(path), convention=None, labels=None, as_json=False) == 0
    shown = capsys.readouterr().out
    for word in ("springs", "28.7 meV/Å (4.1 %)", "O Si, 300–1200 K"):
        assert word in shown
    assert run(file=str(path), convention=None, labels=None, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["record"]["student"]["recipe"] == {"epochs": 3}


def test_the_name_of_a_student_is_that_of_a_model(potential, record, tmp_path):
    path = tmp_path / "silica.m3c.safetensors"
    write_student(potential, record, path)
    assert not looks_exported(path.name)
    with pytest.raises(ArtefactError, match="there is no silica"):
        load_artefact(path)
    exported = output_path(path, None, "onnx")
    assert exported.name == "silica.m3c.onnx"
    beside = {description_path(path).name, path.name}
    for backend in (backend for backend in BACKENDS if not backend.is_model):
        assert not path.name.endswith(backend.suffix)
        file = path.with_name(f"silica{backend.suffix}")
        assert not beside & {file.name, manifest_path(file).name}
