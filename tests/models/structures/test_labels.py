"""Labelled frames: what is read, and what is refused because its units cannot be right."""

from __future__ import annotations

import logging
import re

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.stress import voigt_6_to_full_3x3_stress

from m3compress.api import resolve_source
from m3compress.errors import StructureError
from m3compress.models.structures.crystals import build_crystal, known_crystals
from m3compress.models.structures.labels import read_labels
from m3compress.validate.setup.subject import trained


@pytest.fixture(scope="module")
def model():
    return trained(str(resolve_source("builtin"))).with_threads(1).open()


@pytest.fixture(scope="module")
def frames(model):
    """Rattled silica and silicon with forces, energies and stresses that a model misses by 10 %."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(16):
        crystal = known_crystals(("O", "Si"))[number % 3]
        atoms = crystal.atoms.repeat((2, 1, 1))
        atoms.rattle(0.08, seed=number)
        result = model.evaluate(atoms)
        forces = result.forces * rng.normal(1.0, 0.1, result.forces.shape)
        stress = result.stress(atoms) * rng.normal(1.0, 0.1, 6)
        # Another zero of energy for every element, as another DFT code has it.
        zero = -100.0 * (atoms.symbols == "Si").sum() - 400.0 * (atoms.symbols == "O").sum()
        energy = result.energy + zero + rng.normal(0, 0.001) * len(atoms)
        made.append((atoms, {"energy": energy, "forces": forces, "stress": stress}))
    return made


def stored(path, frames, *, leave_out=(), **factors):
    """Write frames with some labels multiplied."""
    written = []
    for atoms, labels in frames:
        copy = atoms.copy()
        results = {
            name: value * factors.get(name, 1.0)
            for name, value in labels.items()
            if name not in leave_out
        }
        copy.calc = SinglePointCalculator(copy, **results)
        written.append(copy)
    write(path, written, format="extxyz")
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "labels.xyz"


def test_labels_in_ev_are_read(path, frames, model):
    found = read_labels(stored(path, frames), model)
    assert [named.name for named in found[:2]] == ["labels-0", "labels-1"]
    assert len(found) == len(frames)
    for named, (atoms, labels) in zip(found, frames, strict=True):
        assert np.allclose(named.atoms.positions, atoms.positions, atol=1e-6)
        for name, value in labels.items():
            assert np.allclose(named.atoms.calc.results[name], value, atol=1e-6)


def test_energies_and_stresses_may_be_absent(path, frames, model):
    found = read_labels(stored(path, frames, leave_out=("energy", "stress")), model)
    assert set(found[0].atoms.calc.results) == {"forces"}


def test_other_names_of_forces_are_known(path, frames, model):
    atoms, labels = frames[0]
    copy = atoms.copy()
    copy.arrays["REF_forces"] = labels["forces"]
    copy.info["REF_energy"] = labels["energy"]
    write(path, copy, format="extxyz")
    (named,) = read_labels(path, model)
    assert np.allclose(named.atoms.calc.results["forces"], labels["forces"], atol=1e-6)
    assert named.atoms.calc.results["energy"] == pytest.approx(labels["energy"])


def refused(path, model):
    with pytest.raises(StructureError) as caught:
        read_labels(path, model)
    return caught.value


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("Hartree/Bohr", units.Bohr / units.Hartree),
        ("kcal/mol/Å", units.mol / units.kcal),
        ("kJ/mol/Å", units.mol / units.kJ),
        ("meV/Å", 1e3),
    ],
)
def test_forces_in_other_units_are_refused_by_name(path, frames, model, unit, factor):
    error = refused(stored(path, frames, forces=factor), model)
    assert "forces" in error.message
    assert unit in error.message
    assert "expected eV/Å" in error.message
    assert "ase.units" in error.hint


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("Hartree", 1 / units.Hartree), ("kcal/mol", units.mol / units.kcal), ("meV", 1e3)],
)
def test_energies_in_other_units_are_refused_by_name(path, frames, model, unit, factor):
    error = refused(stored(path, frames, energy=factor), model)
    assert "energies" in error.message
    assert unit in error.message


def test_energies_of_few_frames_are_taken_as_they_are(path, frames, model):
    assert len(read_labels(stored(path, frames[:1], energy=1 / units.Hartree), model)) == 1


def rattled_silicon(model, n_atoms, n_frames=12):
    """Small cells of silicon, strained and rattled."""
    made = []
    for number in range(n_frames):
        atoms = bulk("Si").repeat((1, 1, n_atoms // 2))
        atoms.set_cell(atoms.cell * (0.95 + 0.01 * number), scale_atoms=True)
        atoms.rattle(0.15, seed=number)
        result = model.evaluate(atoms)
        made.append((atoms, {"energy": result.energy, "forces": result.forces}))
    return made


@pytest.mark.parametrize("n_atoms", [2, 4])
def test_energies_per_atom_of_small_cells_are_refused(path, model, n_atoms):
    silicon = rattled_silicon(model, n_atoms)
    error = refused(stored(path, silicon, energy=1 / n_atoms, forces=1.05), model)
    assert "per atom" in error.message
    assert "number of atoms" in error.hint


def test_energies_per_atom_of_all_sizes_are_refused(path, model):
    few = []
    # Too few frames to fit energies of elements; but as they are, they are those of the model.
    for atoms in (bulk("Si"), build_crystal("SiO2-quartz"), bulk("SiO", "rocksalt", a=4.4)):
        result = model.evaluate(atoms)
        few.append((atoms, {"energy": result.energy, "forces": result.forces}))
    assert len(read_labels(stored(path, few), model)) == 3
    for atoms, labels in few:
        labels["energy"] /= len(atoms)
    assert "per atom" in refused(stored(path, few), model).message


@pytest.mark.parametrize("n_atoms", [2, 4])
def test_models_too_soft_and_other_zeros_are_no_energies_per_atom(path, model, n_atoms):
    silicon = rattled_silicon(model, n_atoms)
    for factor in (1 / n_atoms, 1.0, 1.6):
        shifted = [
            (atoms, {**labels, "energy": labels["energy"] * factor - 300.0 * len(atoms)})
            for atoms, labels in silicon
        ]
        assert len(read_labels(stored(path, shifted, forces=factor), model)) == len(silicon)
    without_forces = [
        (atoms, {**labels, "forces": np.zeros((n_atoms, 3))}) for atoms, labels in silicon
    ]
    assert len(read_labels(stored(path, without_forces, energy=0.5), model)) == len(silicon)


@pytest.mark.parametrize("zero", [0.0, -300.0])
def test_energies_of_the_wrong_sign_are_refused(path, model, zero):
    silicon = rattled_silicon(model, 4)
    wrong = [
        (atoms, {**labels, "energy": -1.1 * labels["energy"] + zero * len(atoms)})
        for atoms, labels in silicon
    ]
    error = refused(stored(path, wrong), model)
    assert "wrong sign" in error.message
    assert "negative" in error.hint


def test_noise_is_no_wrong_sign(path, frames, model):
    rng = np.random.default_rng(0)
    noisy = [
        (atoms, {**labels, "energy": rng.normal(0, 0.3) * len(atoms)}) for atoms, labels in frames
    ]
    assert len(read_labels(stored(path, noisy), model)) == len(frames)


def test_gradients_are_refused(path, frames, model):
    error = refused(stored(path, frames, forces=-1.0), model)
    assert "point against" in error.message
    assert "negative" in error.hint


def test_small_forces_of_relaxed_structures_are_no_wrong_unit(path, frames, model):
    rng = np.random.default_rng(1)
    relaxed = [(atoms, {"forces": rng.normal(0, 0.003, (len(atoms), 3))}) for atoms, _ in frames]
    assert len(read_labels(stored(path, relaxed), model)) == len(frames)


def test_stresses_in_another_unit_are_left_out(path, frames, model, caplog):
    with caplog.at_level(logging.WARNING):
        found = read_labels(stored(path, frames, stress=1 / units.GPa), model)
    assert "stress" not in found[0].atoms.calc.results
    assert "GPa" in caplog.text


def test_a_file_without_forces_is_refused(path, model):
    write(path, bulk("Si"), format="extxyz")
    error = refused(path, model)
    assert "frame 0" in error.message
    assert "no forces" in error.message


def test_forces_that_are_no_numbers_are_refused(path, frames, model):
    broken = [(atoms, {"forces": labels["forces"] * np.nan}) for atoms, labels in frames[:1]]
    error = refused(stored(path, broken), model)
    assert f"the forces of frame 0 of {path} ('forces') is nan on atom 0" in error.message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e40])
@pytest.mark.parametrize("name", ["energy", "forces", "stress"])
def test_one_label_that_is_no_finite_number_is_refused(path, frames, model, name, value):
    broken = [(atoms, dict(labels)) for atoms, labels in frames[:6]]
    spoilt = np.array(broken[2][1][name])
    spoilt.ravel()[-1] = value
    broken[2][1][name] = spoilt if spoilt.ndim else float(spoilt)
    error = refused(stored(path, broken), model)
    assert f"the {name} of frame 2 of {path} ({name!r}) is" in error.message
    assert "leave the frame out" in error.hint


def test_a_missing_energy_in_hartree_hides_no_unit(path, frames, model):
    error = refused(stored(path, frames, energy=1 / units.Hartree), model)
    assert "Hartree" in error.message
    some = [(atoms, {**labels}) for atoms, labels in frames]
    del some[2][1]["energy"]
    assert "Hartree" in refused(stored(path, some, energy=1 / units.Hartree), model).message


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("REF_energy", "low", r"\('REF_energy'\) is low, expected numbers"),
        ("REF_energy", True, r"\('REF_energy'\) is True, expected numbers"),
        ("REF_energy", [1.0, 2.0], r"\('REF_energy'\) has the shape \(2,\), expected \(\)"),
        ("REF_energy", np.nan, r"\('REF_energy'\) is nan"),
        ("REF_forces", ["a", "b"], r"\('REF_forces'\) is .*, expected numbers"),
        ("REF_forces", [1.0, 2.0], r"\('REF_forces'\) has the shape \(2,\)"),
    ],
)
def test_labels_that_are_no_numbers_are_refused_by_key(path, model, key, value, message):
    silicon = bulk("Si")
    silicon.arrays["REF_forces"] = np.zeros((2, 3))
    if key == "REF_forces":
        silicon.arrays[key] = np.array(value)
    else:
        silicon.info[key] = value
    write(path, silicon, format="extxyz")
    assert re.search(f"of frame 0 of .*{message}", refused(path, model).message)


def test_the_whole_stress_tensor_is_read_as_six_numbers(path, frames, model):
    tensors = [
        (atoms, {**labels, "stress": voigt_6_to_full_3x3_stress(labels["stress"])})
        for atoms, labels in frames
    ]
    found = read_labels(stored(path, tensors), model)
    for named, (_, labels) in zip(found, frames, strict=True):
        assert np.allclose(named.atoms.calc.results["stress"], labels["stress"], atol=1e-6)


def prefixed(path, frames, *, prefix="REF_", calculator=(), names=("energy", "forces", "stress")):
    """Write labels under other names, and those of a calculator, which are pairs of factors."""
    written = []
    for atoms, labels in frames:
        copy = atoms.copy()
        for name in names:
            place = copy.arrays if name == "forces" else copy.info
            place[prefix + name] = labels[name]
        if calculator:
            results = {name: labels[name] * factor for name, factor in calculator}
            copy.calc = SinglePointCalculator(copy, **results)
        written.append(copy)
    write(path, written, format="extxyz")
    return path


@pytest.mark.parametrize("name", ["energy", "forces", "stress"])
def test_two_calculations_that_differ_are_refused(path, frames, model, name):
    error = refused(prefixed(path, frames[:2], calculator=[(name, 1.1)]), model)
    assert f"the {name} of frame 0 of {path} is stored twice" in error.message
    assert f"{name!r} and 'REF_{name}' differ" in error.message


def test_two_calculations_under_names_of_their_own_are_refused(path, frames, model):
    atoms, labels = frames[0]
    copy = atoms.copy()
    for prefix, factor in (("REF_", 1.0), ("dft_", -3.0)):
        copy.arrays[f"{prefix}forces"] = factor * labels["forces"]
    write(path, copy, format="extxyz")
    assert "'REF_forces' and 'dft_forces' differ" in refused(path, model).message


def test_what_is_stored_twice_and_is_the_same_is_read(path, frames, model):
    found = read_labels(
        prefixed(path, frames, calculator=[("energy", 1 + 1e-9), ("forces", 1 + 1e-9)]), model
    )
    assert set(found[0].atoms.calc.results) == {"energy", "forces", "stress"}
    # The forces of one and the stress of the other: the energy that both have says they are one.
    path = prefixed(path, frames, names=("energy", "forces"), calculator=[("energy", 1.0)])
    assert set(read_labels(path, model)[0].atoms.calc.results) == {"energy", "forces"}


@pytest.mark.parametrize("name", ["energy", "stress"])
def test_energy_and_forces_are_never_of_two_calculations(path, frames, model, name):
    error = refused(prefixed(path, frames[:2], names=["forces"], calculator=[(name, 1.0)]), model)
    assert f"frame 0 of {path} has labels of two calculations" in error.message
    assert f"'REF_forces' and {name!r}" in error.message


@pytest.mark.parametrize("prefix", ["REF_", "dft_"])
def test_a_stress_under_another_name_is_read(path, frames, model, prefix, caplog):
    found = read_labels(prefixed(path, frames, prefix=prefix), model)
    for named, (_, labels) in zip(found, frames, strict=True):
        assert np.allclose(named.atoms.calc.results["stress"], labels["stress"], atol=1e-6)
    in_gpa = [
        (atoms, {**labels, "stress": labels["stress"] / units.GPa}) for atoms, labels in frames
    ]
    with caplog.at_level(logging.WARNING):
        assert "stress" not in read_labels(prefixed(path, in_gpa), model)[0].atoms.calc.results
    assert "GPa" in caplog.text


def test_a_frame_that_has_no_energy_is_named(path, model):
    pair = Atoms("Si2", positions=[[0, 0, 1], [0, 0, 1]])
    pair.calc = SinglePointCalculator(pair, forces=np.zeros((2, 3)))
    write(path, pair, format="extxyz")
    assert f"frame 0 of {path}: atoms 0 and 1 " in refused(path, model).message


def test_unknown_elements_are_named(path, model):
    salt = bulk("NaCl", "rocksalt", a=5.64)
    write(path, salt, format="extxyz")
    assert "contains Cl, Na" in refused(path, model).message


@pytest.mark.parametrize("content", ["", "not a structure\n"])
def test_an_unreadable_file_is_refused(path, model, content):
    path.write_text(content)
    assert str(path) in refused(path, model).message


def test_a_missing_file_is_refused(path, model):
    assert "there is no file" in refused(path, model).message


@pytest.mark.parametrize(
    ("name", "n_frames"),
    [
        ("mpf-TP.xyz", 1069),
        ("mptrj-highest-stress-1k.xyz", 1000),
        ("alexandria-random-first500.xyz", 500),
    ],
)
def test_real_labels_are_accepted(shared, name, n_frames):
    spec = trained(shared / "models" / "M3GNet-MP-2021.2.8-EFS-tensorflow").with_threads(1)
    found = read_labels(shared / "data" / name, spec.open())
    assert len(found) == n_frames
