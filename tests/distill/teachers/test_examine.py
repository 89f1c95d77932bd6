"""Who is believed: answers must be whole, finite, and the same twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from m3compress.distill.teachers.examine import Candidate, examine
from m3compress.engines.dynamics.loaded import Loaded
from m3compress.errors import StructureError, TeacherError
from m3compress.models.structures.frames import Named

SALT = Named("salt", bulk("SiO", "rocksalt", a=4.5))


class Edited:
    """The teacher, with its answers edited."""

    def __init__(self, teacher, edit):
        self.teacher, self.edit, self.count = teacher, edit, 0
        self.elements, self.cutoff = teacher.elements, teacher.cutoff

    def evaluate(self, atoms):
        self.count += 1
        return self.edit(self.teacher.evaluate(atoms), self.count)


def candidate(teacher, content="springs"):
    return Candidate(
        name="springs", spec=Loaded(evaluator=teacher, content=content), precision="float64"
    )


def test_a_sound_teacher_is_believed(teacher):
    found = examine(candidate(teacher), [SALT])
    assert (found.name, found.cutoff, found.precision) == ("springs", 4.0, "float64")
    assert found.has_atom_energies
    assert found.sha256 != examine(candidate(teacher, "others"), [SALT]).sha256
    assert found.open() is teacher


def test_energies_of_atoms_may_be_missing(teacher):
    def edit(found, count):
        return replace(found, energies=np.full_like(found.energies, np.nan))

    assert not examine(candidate(Edited(teacher, edit)), [SALT]).has_atom_energies


@pytest.mark.parametrize("name", ["energy", "forces", "virial"])
def test_an_answer_that_is_not_finite_is_refused(teacher, name):
    def edit(found, count):
        return replace(found, **{name: getattr(found, name) * np.nan})

    with pytest.raises(StructureError, match=r"springs on salt: .* not finite"):
        examine(candidate(Edited(teacher, edit)), [SALT])


def test_a_teacher_that_changes_its_answer_is_refused(teacher):
    def edit(found, count):
        return replace(found, forces=found.forces + 0.002 * count)

    with pytest.raises(TeacherError, match=r"changes its answer: .* forces differ by 0.004 eV/Å"):
        examine(candidate(Edited(teacher, edit)), [SALT])


def test_an_element_that_it_does_not_know_is_named(teacher):
    gold = Named("gold", bulk("Au"))
    with pytest.raises(StructureError, match="gold contains Au"):
        examine(candidate(teacher), [SALT, gold])


def test_what_is_not_periodic_has_no_stress(teacher):
    slab = SALT.atoms.copy()
    slab.pbc = (True, True, False)
    with pytest.raises(StructureError, match="not periodic in all directions"):
        examine(candidate(teacher), [Named("slab", slab)])


def test_nobody_is_believed_without_being_asked(teacher):
    with pytest.raises(TeacherError, match="without structures"):
        examine(candidate(teacher), [])
