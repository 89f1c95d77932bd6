"""The gate of a student: its domain decides on what, and how hot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk
from ase.io import write

from m3compress.contract.teacher import Teacher
from m3compress.errors import StructureError, TeacherError
from m3compress.models.structures.crystals import build_crystal
from m3compress.models.student_record import Domain, StudentRecord, write_student
from m3compress.validate.run import CHECKS, STUDENT_CHECKS, checks_of
from m3compress.validate.setup.profiles import SMOKE
from m3compress.validate.setup.students import StudentError, is_student, trained_by, with_teacher
from m3compress.validate.setup.subject import trained

QUARTZ = build_crystal("SiO2-quartz")


class Source:
    """Opens to a teacher, and remembers what that was asked about."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.asked = error, ()

    def open(self, structures: Any) -> Teacher:
        self.asked = structures
        if self.error:
            raise self.error
        return TEACHER

    def identity(self) -> str:
        return "it"


TEACHER = Teacher(
    name="builtin",
    spec=trained("nowhere"),
    sha256="ab",
    precision="float32",
    cutoff=5.0,
    has_atom_energies=True,
    facts={"source_sha256": "cd"},
)


def record(domain: Domain) -> StudentRecord:
    return StudentRecord(teacher=TEACHER.to_json(), data={}, recipe={}, errors={}, domain=domain)


@pytest.fixture
def open_gate(builtin_potential, make_context, artefact_spec, tmp_path) -> Any:
    """``open_gate(domain, source, ...)``: the gate of the built-in model as a student."""

    def make(domain: Domain | None, source: Any = None, **options: Any) -> Any:
        path = Path(builtin_potential.provenance.path)
        if domain is not None:
            path = tmp_path / "student.m3c.safetensors"
            write_student(builtin_potential, record(domain), path)
        context = make_context(artefact_spec, trained(str(path)), zoo=())
        given = {"structures": None, "hot": True, "long": True, **options}
        return with_teacher(context, source or Source(), **given)

    return make


def test_it_is_as_hot_as_the_domain_and_has_its_crystals(open_gate):
    source = Source()
    found = open_gate(Domain.of([QUARTZ], [300.0, 1100.0], 5.0), source)
    assert found.profile.temperature == 1100.0
    assert [named.name for named in found.crystals] == ["SiO2-quartz"]
    assert source.asked == found.crystals
    assert len(found.samples) == found.profile.n_samples
    assert found.teacher == TEACHER
    assert checks_of(found) == STUDENT_CHECKS
    assert is_student(found.reference_subject)


def test_a_temperature_of_the_user_wins(open_gate):
    domain = Domain.of([QUARTZ], [300.0, 1100.0], 5.0)
    assert open_gate(domain, hot=False).profile.temperature == 300.0


@pytest.mark.parametrize(("long", "duration"), [(True, 0.5), (False, SMOKE.duration)])
def test_trajectories_of_two_potentials_are_long_unless_the_user_chose(open_gate, long, duration):
    found = open_gate(Domain.of([QUARTZ], [300.0, 1100.0], 5.0), long=long)
    assert found.profile.duration == duration


def test_phases_of_the_user_are_taken_as_given(open_gate, tmp_path):
    path = tmp_path / "phases.extxyz"
    write(path, [QUARTZ, build_crystal("SiO2-alpha-cristobalite")])
    found = open_gate(Domain.of([QUARTZ], [900.0], 5.0), structures=path)
    assert [len(named.atoms) for named in found.crystals] == [9, 12]


def test_without_a_phase_the_user_is_asked_for_one(open_gate):
    thin = QUARTZ.copy()
    thin.set_cell(thin.cell * 2, scale_atoms=True)
    with pytest.raises(StudentError, match="no built-in crystal in the domain") as caught:
        open_gate(Domain.of([thin], [900.0], 5.0))
    assert "--structures" in str(caught.value.hint)
    assert caught.value.exit_code == 2


def test_a_model_without_a_record_is_no_student(open_gate, make_context, artefact_spec):
    with pytest.raises(StudentError, match="is no student"):
        open_gate(None)
    plain = make_context(artefact_spec)
    assert not is_student(plain.reference_subject)
    assert checks_of(plain) == CHECKS


@pytest.mark.parametrize("error", [TeacherError("no stress"), StructureError("not finite")])
def test_a_teacher_that_cannot_be_believed_ends_the_run(open_gate, error):
    with pytest.raises(type(error)) as caught:
        open_gate(Domain.of([QUARTZ], [900.0], 5.0), Source(error))
    assert caught.value.exit_code == 2


def test_a_teacher_is_known_by_its_file_in_whatever_engine():
    found = record(Domain.of([QUARTZ], [], 5.0))
    assert trained_by(found, TEACHER)
    other = found.model_copy(update={"teacher": {**found.teacher, "source_sha256": "ef"}})
    assert not trained_by(other, TEACHER)


def test_what_lies_outside_the_domain_is_told():
    domain = Domain.of([QUARTZ], [900.0], 5.0)
    assert domain.holds(QUARTZ)
    assert not domain.holds(build_crystal("SiO2-beta-cristobalite"), 0.02)
    assert domain.holds(build_crystal("SiO2-beta-cristobalite"), 0.5)
    assert not domain.holds(bulk("SiC", "zincblende", a=4.36), 9.0)
