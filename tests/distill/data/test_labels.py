"""Labels are the teacher's word, whoever the teacher is."""

from __future__ import annotations

import numpy as np
from ase.build import bulk

from m3compress.distill.data.labels import label, largest_force


def test_a_frame_carries_what_the_teacher_says(teacher):
    atoms = bulk("SiO", "rocksalt", a=4.5)
    atoms.positions[0] += 0.1
    found, frame = teacher.evaluate(atoms), label(teacher, atoms)
    assert frame.get_potential_energy() == found.energy
    np.testing.assert_array_equal(frame.get_forces(), found.forces)
    np.testing.assert_array_equal(frame.get_stress(), found.stress(atoms))
    assert largest_force(frame) == np.sqrt((found.forces**2).sum(1)).max()


def test_a_frame_is_a_bare_copy(teacher):
    atoms = bulk("Si", a=5.0)
    atoms.info["secret"] = 1
    frame = label(teacher, atoms)
    frame.positions[0] += 1
    assert not frame.info
    assert (atoms.positions[0] == 0).all()
