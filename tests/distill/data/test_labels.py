"""Labels are the teacher's word, whoever the teacher is."""

from __future__ import annotations

import numpy as np
from ase.build import bulk

from m3compress.distill.data.labels import curve, label, largest_force
from m3compress.errors import StructureError


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


def test_curvatures_are_those_of_the_hessian(teacher):
    frame = label(teacher, bulk("SiO", "rocksalt", a=4.5))
    curve(teacher, frame, np.random.default_rng(1))
    hessian, step = np.zeros((6, 6)), 1e-5
    for row in range(6):
        forces = []
        for sign in (1, -1):
            moved = frame.copy()
            moved.positions.reshape(-1)[row] += sign * step
            forces.append(teacher.evaluate(moved).forces.reshape(-1))
        hessian[row] = (forces[1] - forces[0]) / (2 * step)
    expected = hessian @ frame.arrays["direction"].reshape(-1)
    found = frame.arrays["curvature"].reshape(-1)
    np.testing.assert_allclose(found, expected, atol=5e-3 * np.abs(expected).max())


def test_where_the_teacher_has_nothing_to_say_there_is_no_curvature():
    class Narrow:
        def evaluate(self, atoms):
            raise StructureError("too far away")

    frame = bulk("Si", a=5.0)
    curve(Narrow(), frame, np.random.default_rng(1))
    assert not set(frame.arrays) & {"direction", "curvature"}
