"""Structures built for a model, and those of a user."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write

from m3compress.errors import StructureError
from m3compress.models.structures.samples import (
    crystals_for,
    read_structures,
    samples_for,
    zoo_for,
)

SILICA = ("O", "Si")


def widths(atoms):
    """Distances of opposite faces, from the reciprocal cell."""
    return 1 / np.linalg.norm(atoms.cell.reciprocal().array, axis=1)


def density(atoms):
    return len(atoms) / atoms.get_volume()


def test_the_zoo_is_as_large_as_wanted():
    small, large = (zoo_for(SILICA, 5.0, 4.0, most) for most in (40, 2000))
    assert max(len(named.atoms) for named in small) <= 40
    assert max(len(named.atoms) for named in large) > 1500
    assert len({named.name for named in large}) == len(large) > len(small) > 30


def test_measured_crystals_of_unlike_compositions_come_first():
    names = [named.name for named in crystals_for(SILICA)]
    assert names == ["SiO2-quartz", "Si-diamond", "SiO2-stishovite"]
    assert max(len(named.atoms) for named in crystals_for(SILICA)) <= 12


def test_hydrogen_comes_last_where_there_is_something_else():
    with_others = [named.name for named in crystals_for(("Na", "B", "H", "Cl"))]
    assert with_others[0] == "NaCl-rocksalt"
    assert crystals_for(("Na", "B", "H"))[0].name == "NaBH4-borohydride"


def test_elements_without_a_known_compound_get_their_own_crystal():
    found = crystals_for(("Tl", "Se"))
    assert "Tl-elemental" in {named.name for named in found}


def test_made_up_crystals_are_the_last_resort():
    assert all(named.name.startswith("made-up") for named in crystals_for(("H",)))


@pytest.mark.parametrize("r_max", [4.2, 6.0])
def test_samples_are_wide_enough_and_small(r_max):
    samples = {named.name: named.atoms for named in samples_for(SILICA, r_max, 3)}
    assert next(iter(samples)) == "SiO2-quartz"
    at_rest = {named.name: named.atoms for named in crystals_for(SILICA)}
    for name, atoms in samples.items():
        assert widths(atoms).min() >= 2 * r_max
        assert density(atoms) == pytest.approx(density(at_rest[name]))
        # No more than it takes for a cube half as wide again.
        assert atoms.get_volume() < (1.5 * 2 * r_max) ** 3
    assert len(samples_for(SILICA, r_max, 1)) == 1


def test_quartz_of_the_short_profiles_is_small():
    assert len(samples_for(SILICA, 4.2, 1)[0].atoms) <= 72


@pytest.mark.parametrize("name", ["cell.cif", "POSCAR", "cell.xyz", "cell.json"])
def test_small_cells_are_repeated(tmp_path, name):
    path = tmp_path / name
    write(path, bulk("Si", cubic=True), format="extxyz" if name.endswith("xyz") else None)
    (named,) = read_structures(path, SILICA, 10.0)
    assert named.name == path.stem
    assert widths(named.atoms).min() >= 10.0
    assert len(named.atoms) == 64


def test_wide_cells_are_left_alone(tmp_path):
    wide = bulk("Si", cubic=True).repeat(2)
    wide.set_velocities(np.ones((64, 3)))
    write(tmp_path / "wide.extxyz", wide)
    for repeat in (True, False):
        (named,) = read_structures(tmp_path / "wide.extxyz", SILICA, 10.0, supercell=repeat)
        assert np.allclose(named.atoms.positions, wide.positions, atol=1e-6)
        assert not named.atoms.get_momenta().any()


def test_several_structures_get_numbers(tmp_path):
    write(tmp_path / "two.extxyz", [bulk("Si"), bulk("Si", a=5.5)])
    names = [named.name for named in read_structures(tmp_path / "two.extxyz", SILICA, 5.0)]
    assert names == ["two-0", "two-1"]


def refused(path, **options):
    with pytest.raises(StructureError) as caught:
        read_structures(path, SILICA, 10.0, **options)
    return caught.value


def test_a_missing_file_is_refused(tmp_path):
    assert "there is no file" in refused(tmp_path / "none.cif").message


@pytest.mark.parametrize("name", ["broken.cif", "broken.xyz", "broken.unheard", "empty.xyz"])
def test_an_unreadable_file_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_text("" if name.startswith("empty") else "this is no structure\n")
    error = refused(path)
    assert str(path) in error.message


def test_unknown_elements_are_named(tmp_path):
    write(tmp_path / "salt.cif", bulk("NaCl", "rocksalt", a=5.64))
    error = refused(tmp_path / "salt.cif")
    assert "contains Cl, Na" in error.message
    assert "the model knows O, Si" in error.message
    assert error.hint


def test_a_structure_without_a_cell_is_refused(tmp_path):
    write(tmp_path / "silane.xyz", Atoms("SiO4", positions=molecule("CH4").positions))
    assert "no cell" in refused(tmp_path / "silane.xyz").message


def test_a_slab_is_refused(tmp_path):
    slab = bulk("Si", cubic=True).repeat(2)
    slab.pbc = (True, True, False)
    write(tmp_path / "slab.extxyz", slab)
    assert "pbc=[True, True, False]" in refused(tmp_path / "slab.extxyz").message


def test_a_small_cell_is_refused_where_it_may_not_be_repeated(tmp_path):
    write(tmp_path / "small.cif", bulk("Si", cubic=True))
    error = refused(tmp_path / "small.cif", supercell=False)
    assert "5.43 Å wide, expected at least 10.00 Å" in error.message
    assert "--supercell" in error.hint


def test_positions_that_are_no_numbers_are_refused(tmp_path):
    atoms = bulk("Si")
    atoms.positions[1, 2] = np.nan
    write(tmp_path / "nan.extxyz", atoms)
    assert "not numbers" in refused(tmp_path / "nan.extxyz").message


def test_a_skewed_cell_is_reduced_before_it_is_repeated(tmp_path):
    straight = bulk("Si", cubic=True)
    skewed = straight.copy()
    skewed.set_cell(np.array([[1, 0, 0], [6, 1, 0], [-5, 7, 1]]) @ straight.cell.array)
    write(tmp_path / "skewed.extxyz", skewed)
    (named,) = read_structures(tmp_path / "skewed.extxyz", SILICA, 10.0)
    assert len(named.atoms) == 64
    assert widths(named.atoms).min() >= 10.0
    distances = [
        np.sort(atoms.get_distances(0, range(1, 8), mic=True)) for atoms in (skewed, named.atoms)
    ]
    np.testing.assert_allclose(distances[0][0], distances[1][0], atol=1e-6)
    assert density(named.atoms) == pytest.approx(density(straight))


def test_a_cell_that_is_none_of_a_crystal_is_refused(tmp_path):
    write(tmp_path / "thin.extxyz", Atoms("Si", cell=[300, 300, 1e-4], pbc=True))
    assert "it would take" in refused(tmp_path / "thin.extxyz").message


@pytest.mark.parametrize("height", [0.0, 1e-4])
def test_a_flat_cell_is_refused(tmp_path, height):
    flat = bulk("Si", cubic=True)
    flat.cell[2] = flat.cell[0] + [0, 0, height]
    write(tmp_path / "flat.extxyz", flat)
    error = refused(tmp_path / "flat.extxyz")
    assert f"frame 0 of {tmp_path / 'flat.extxyz'}: the cell is " in error.message
    assert "cell vector" in error.hint


def test_a_trajectory_is_refused(tmp_path):
    write(tmp_path / "many.extxyz", [bulk("Si")] * 30)
    error = refused(tmp_path / "many.extxyz")
    assert "30 structures" in error.message
    assert "a few" in error.hint
