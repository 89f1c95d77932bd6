"""Subjects that are changed in one way, and in no other."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms, units

from m3compress.engines.calculators import CalculatorSpec
from m3compress.validate.controls.broken import (
    Pressed,
    RedrawnTriplets,
    Reordered,
    ScaledForces,
    read_spec,
)


@pytest.fixture
def pruned(builtin_spec):
    return replace(builtin_spec, form="pruned=0.5", precision="float32")


@pytest.fixture(params=["scaled", "pressed", "reordered", "redrawn"])
def broken(request, builtin_spec, pruned):
    """Each of them, and the model it is made of."""
    made = {
        "scaled": ScaledForces(builtin_spec, 0.95),
        "pressed": Pressed(builtin_spec, -0.25),
        "reordered": Reordered(builtin_spec),
        "redrawn": RedrawnTriplets(pruned),
    }
    return made[request.param]


def test_only_forces_and_virial_are_scaled(builtin_spec, silica_zoo):
    atoms = silica_zoo[0].atoms
    right, wrong = builtin_spec.open(), ScaledForces(builtin_spec, 0.95).open()
    for evaluate in (
        lambda subject: subject.evaluate(atoms),
        lambda subject: subject.evaluate_shuffled(atoms, np.random.default_rng(0)),
    ):
        expected, found = evaluate(right), evaluate(wrong)
        assert found.energy == expected.energy
        assert np.array_equal(found.energies, expected.energies)
        assert np.array_equal(found.forces, 0.95 * expected.forces)
        assert np.array_equal(found.virial, 0.95 * expected.virial)


def test_another_order_of_the_neighbours_changes_the_rounding_alone(builtin_spec, silica_zoo):
    (crystal,) = (named.atoms for named in silica_zoo if named.name == "SiO2-quartz-rattled")
    right = replace(builtin_spec, precision="float32")
    expected, found = right.open().evaluate(crystal), Reordered(right).open().evaluate(crystal)
    assert not np.array_equal(found.forces, expected.forces)
    assert found.forces == pytest.approx(expected.forces, abs=2e-5)
    assert found.virial == pytest.approx(expected.virial, abs=2e-4)
    assert found.energies == pytest.approx(expected.energies, abs=2e-5)


def test_a_pressure_is_in_the_energy_and_in_the_stress_alone(builtin_spec, silica_zoo):
    (crystal,) = (named.atoms for named in silica_zoo if named.name == "SiO2-quartz-rattled")
    right, wrong = builtin_spec.open(), Pressed(builtin_spec, -0.25).open()
    expected, found = right.evaluate(crystal), wrong.evaluate(crystal)
    assert np.array_equal(found.forces, expected.forces)
    assert found.energies.sum() - found.energy == pytest.approx(
        expected.energies.sum() - expected.energy
    )
    pressure = (found.stress(crystal) - expected.stress(crystal)) / units.GPa
    assert pressure == pytest.approx([-0.25, -0.25, -0.25, 0, 0, 0], abs=1e-9)

    def energies(subject):
        strained = [crystal.copy() for _ in range(2)]
        for atoms, strain in zip(strained, (1e-3, -1e-3), strict=True):
            atoms.set_cell(atoms.cell * (1 + strain), scale_atoms=True)
        return [subject.evaluate(atoms).energy for atoms in strained]

    up, down = energies(wrong)
    assert (up - down) / 2e-3 == pytest.approx(np.trace(found.virial), rel=1e-4)
    molecule = Atoms("SiO", positions=[[0, 0, 0], [0, 0, 1.6]])
    assert wrong.evaluate(molecule).energy == right.evaluate(molecule).energy


def test_all_triplets_are_drawn_anew_when_one_comes_or_goes(pruned, silica_zoo):
    (entry,) = (named for named in silica_zoo if named.name == "SiO2-quartz-rattled")
    subject, plain = RedrawnTriplets(pruned).open(), pruned.open()
    first, again = (subject.evaluate(entry.atoms) for _ in range(2))
    assert first.energy == again.energy
    assert first.energy != plain.evaluate(entry.atoms).energy

    def largest_step(subject):
        energies = []
        for displacement in np.linspace(0, 0.3, 16):
            moved = entry.atoms.copy()
            moved.positions[0, 0] += displacement
            energies.append(subject.evaluate(moved).energy)
        return np.abs(np.diff(energies)).max()

    assert largest_step(plain) < 0.3  # eV; nothing is drawn while an atom moves
    assert largest_step(subject) > 0.6


def test_a_broken_subject_is_a_value_like_the_one_it_is_made_of(broken, builtin_spec):
    assert pickle.loads(pickle.dumps(broken)) == broken
    assert hash(broken.with_threads(1)) == hash(broken)
    assert (broken.kind, broken.path, broken.name, broken.threads) == (
        "model",
        builtin_spec.path,
        builtin_spec.name,
        1,
    )
    assert read_spec(broken.to_json()).with_threads(1) == broken
    subject = broken.open()
    assert subject.spec == broken
    assert subject.elements == builtin_spec.open().elements


def test_its_identity_is_its_content_and_what_is_done_to_it(broken, builtin_spec, tmp_path):
    copied = shutil.copytree(builtin_spec.path, tmp_path / "copy")
    moved = replace(broken, model=replace(broken.model, path=str(copied)))
    assert moved.identity() == broken.identity()
    assert broken.identity() != builtin_spec.identity()


@pytest.mark.parametrize(
    "document",
    [{}, {"kind": "what"}, {"kind": "scaled-forces"}, {"kind": "redrawn-triplets", "model": {}}],
)
def test_the_document_of_something_else_is_refused(document):
    with pytest.raises((KeyError, TypeError)):
        read_spec(document)


def test_an_exported_file_is_not_broken_on_the_way(artefact_spec):
    document = {"kind": "redrawn-triplets", "model": artefact_spec.to_json()}
    with pytest.raises(TypeError, match="only a trained model"):
        read_spec(document)


def test_a_calculator_is_read_as_what_it_is():
    spec = CalculatorSpec.parse("ase:ase.calculators.emt:EMT")
    assert read_spec(spec.to_json()) == spec
