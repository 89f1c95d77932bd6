from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from m3compress.contract.neighbors import build_table, find_edges
from m3compress.contract.tables import TableInputs
from m3compress.engines.tables.verlet import VerletTable, species_of
from m3compress.errors import StructureError

CUTOFF = 5.0


def fresh(atoms: Atoms, multiple_of: int = 2) -> TableInputs:
    """The table of a structure, straight from the definitions."""
    edges, vectors = find_edges(atoms, CUTOFF)
    table = build_table(edges, multiple_of=multiple_of)
    return TableInputs(
        species=atoms.numbers,
        neighbors=table.neighbors,
        mask=table.mask.astype(np.float32),
        edge_vectors=table.pad(vectors, np.float32),
        incoming=table.incoming,
        incoming_mask=table.incoming_mask.astype(np.float32),
    )


def assert_same(got: TableInputs, expected: TableInputs) -> None:
    for name, array in expected.feed().items():
        actual = got.feed()[name]
        assert actual.dtype == array.dtype
        assert actual.flags.c_contiguous
        if name == "edge_vectors":
            np.testing.assert_allclose(actual, array, rtol=0, atol=2e-6)
        else:
            np.testing.assert_array_equal(actual, array)


def test_table_of_every_kind_of_structure(structures: dict[str, Atoms]) -> None:
    for atoms in structures.values():
        for skin in (0.0, 0.5, 3.0):
            assert_same(VerletTable(CUTOFF, skin).update(atoms, atoms.numbers), fresh(atoms))


def test_one_table_for_structures_that_have_nothing_in_common(
    structures: dict[str, Atoms],
) -> None:
    table = VerletTable(CUTOFF)
    for atoms in structures.values():
        assert_same(table.update(atoms, atoms.numbers), fresh(atoms))


def test_random_walk_with_a_wrap_and_a_change_of_the_cell() -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat((2, 2, 2))
    table = VerletTable(CUTOFF, skin=0.6)
    rng = np.random.default_rng(0)
    walks = 0
    for step in range(60):
        atoms.positions += rng.normal(scale=0.02, size=atoms.positions.shape)
        if step == 20:
            atoms.positions += [3.1, -7.7, 40.0]
        if step == 30:
            before = atoms.positions.copy()
            atoms.wrap()
            assert np.abs(atoms.positions - before).max() > 1
        if step == 40:
            atoms.set_cell(
                atoms.cell[:] @ [[1.01, 0.1, 0], [0, 1, 0], [0, 0, 0.99]], scale_atoms=True
            )
        before_update = table.n_searches
        assert_same(table.update(atoms, atoms.numbers), fresh(atoms))
        walks += table.n_searches == before_update
    assert table.n_searches < 15
    assert walks > 45


def test_searches_only_when_needed() -> None:
    atoms = bulk("Si", cubic=True)
    table = VerletTable(CUTOFF, skin=0.5)

    def searched() -> bool:
        before = table.n_searches
        table.update(atoms, atoms.numbers)
        return table.n_searches > before

    assert searched()
    assert not searched()
    atoms.positions[3, 1] += 0.249
    assert not searched()
    atoms.positions[3, 1] += 0.002
    assert searched()
    atoms.positions += 0.1
    assert not searched()
    atoms.positions[0] += atoms.cell[1]
    assert searched()
    atoms.numbers[0] = 8
    assert searched()
    atoms.pbc = [True, True, False]
    assert searched()
    atoms.cell[0, 0] += 1e-9
    assert searched()
    del atoms[1]
    assert searched()
    assert not searched()


def test_no_skin_searches_for_every_move() -> None:
    atoms = bulk("Si", cubic=True)
    table = VerletTable(CUTOFF, skin=0.0)
    for _ in range(3):
        table.update(atoms, atoms.numbers)
        atoms.positions[0, 0] += 1e-6
    assert table.n_searches == 3


def test_earlier_tables_stay_as_they_were() -> None:
    atoms = bulk("Si", cubic=True)
    table = VerletTable(CUTOFF)
    first = table.update(atoms, atoms.numbers)
    kept = first.edge_vectors.copy()
    atoms.rattle(0.02, seed=0)
    table.update(atoms, atoms.numbers)
    np.testing.assert_array_equal(first.edge_vectors, kept)


def test_width_is_a_multiple() -> None:
    atoms = bulk("Si", cubic=True)
    inputs = VerletTable(CUTOFF, multiple_of=16).update(atoms, atoms.numbers)
    assert inputs.mask.shape == (8, 32)
    assert_same(inputs, fresh(atoms, multiple_of=16))


def test_far_from_the_origin_vectors_keep_their_digits() -> None:
    atoms = Atoms("Si2", positions=[[0, 0, 0], [1.23456789, 2.0, 0.5]])
    near = VerletTable(CUTOFF).update(atoms, atoms.numbers).edge_vectors
    atoms.positions += 4096.0
    far = VerletTable(CUTOFF).update(atoms, atoms.numbers).edge_vectors
    np.testing.assert_allclose(far, near, rtol=1e-7)


def test_atoms_that_run_into_each_other() -> None:
    atoms = Atoms("Si3", positions=[[0, 0, 0], [0.2, 0, 0], [3, 0, 0]])
    table = VerletTable(CUTOFF, skin=1.0)
    table.update(atoms, atoms.numbers)
    atoms.positions[1] = [1e-4, 0, 0]
    with pytest.raises(StructureError, match=r"atoms 0 and 1 \(counting from 0\) are"):
        table.update(atoms, atoms.numbers)
    assert table.n_searches == 1


def test_recovers_after_a_structure_that_was_refused() -> None:
    atoms = bulk("Si", cubic=True)
    table = VerletTable(CUTOFF)
    table.update(atoms, atoms.numbers)
    broken = atoms.copy()
    broken.positions[2] = np.nan
    with pytest.raises(StructureError, match=r"atom 2 \(counting from 0\) is not finite"):
        table.update(broken, broken.numbers)
    assert_same(table.update(atoms, atoms.numbers), fresh(atoms))


@pytest.mark.parametrize("arguments", [(0.0, 0.5), (5.0, -0.1), (float("nan"), 0.5)])
def test_bad_arguments(arguments: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="bad table"):
        VerletTable(*arguments)


def test_species() -> None:
    assert species_of(Atoms("OHHO"), ("O", "H")).tolist() == [0, 1, 1, 0]
    with pytest.raises(
        StructureError, match=r"does not know Fe \(atom 1, counting from 0\); it knows O, H"
    ):
        species_of(Atoms("OFe"), ("O", "H"))
    with pytest.raises(StructureError, match="does not know X"):
        species_of(Atoms("X"), ("O", "H"))
    with pytest.raises(StructureError, match="does not know"):
        species_of(Atoms(numbers=[-1]), ("Og", "H"))
