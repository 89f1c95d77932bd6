"""Structure files: what is read, and what is refused because it would be read as something else."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from m3compress.errors import StructureError
from m3compress.models.structures.frames import read_frames, require_periodic

CIF = """data_x
_cell_length_a 5
_cell_length_b 5
_cell_length_c 5
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""
DUMP = """ITEM: TIMESTEP
{step}
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0 8
0 8
0 8
ITEM: ATOMS {columns}
1 1 {first} 0 0 0
2 2 {second} 1.6 0 0
"""
XYZ = """2
Lattice="8 0 0 0 8 0 0 0 8" Properties=species:S:1:pos:R:3 pbc="T T T"
O 0 0 0
{symbol} 1.6 0 0
"""


def refusal(path: Path, content: str) -> StructureError:
    path.write_text(content)
    with pytest.raises(StructureError) as caught:
        read_frames(path)
    assert str(path) in caught.value.message
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        (
            "Si1 Si 0.5 0 0 0.5",
            r"atom 0 \(counting from 0; at 2.5, 0, 0 Å\) .*: Si 0.5; .* Si1$",
        ),
        ("O1 O 0 0 0 1\nSi1 Si 0.5 0 0 0.9", r"atom 1 .*: Si 0.9; .* site Si1$"),
        ("Si1 Si 0.5 0 0 0.5\nO1 O 0.5 0 0 0.5", r"atom 0 .*: Si 0.5 and O 0.5; .* site Si1$"),
    ],
    ids=["vacancies", "the second site", "a shared site"],
)
def test_sites_occupied_in_part_are_refused(sites: str, message: str, tmp_path: Path) -> None:
    error = refusal(tmp_path / "x.cif", f"{CIF}{sites}\n")
    with pytest.raises(StructureError, match=message):
        raise StructureError(error.message)
    assert "ordered" in str(error.hint)


@pytest.mark.parametrize("occupancy", ["1", "1.0000", "0.9999", "?", "."])
def test_sites_occupied_wholly_are_read(occupancy: str, tmp_path: Path) -> None:
    (tmp_path / "x.cif").write_text(f"{CIF}Si1 Si 0.5 0 0 {occupancy}\n")
    (atoms,) = read_frames(tmp_path / "x.cif")
    assert str(atoms.symbols) == "Si"


def test_a_column_of_occupancies_is_heeded(tmp_path: Path) -> None:
    path, silicon = tmp_path / "x.extxyz", bulk("Si")
    for column, fine in (([1.0, 1.0], True), ([0.0, 0.0], True), ([1.0, 0.5], False)):
        silicon.set_array("occupancy", np.array(column))
        write(path, silicon)
        if fine:
            assert len(read_frames(path)) == 1
        else:
            with pytest.raises(StructureError, match=r"atom 1 .* occupied in part: Si 0.5"):
                read_frames(path)


def test_a_dump_without_elements_is_refused(tmp_path: Path) -> None:
    named = DUMP.format(step=0, columns="id type element x y z", first="Si", second="O")
    nameless = DUMP.format(step=1, columns="id type mol x y z", first="1", second="1")
    for name in ("dump.lammpstrj", "trajectory.txt"):
        error = refusal(tmp_path / name, named + nameless)
        assert "frame 1 of" in error.message
        assert "id type mol x y z" in error.message
        assert "dump_modify" in str(error.hint)
        (tmp_path / name).write_text(named)
        assert str(read_frames(tmp_path / name)[0].symbols) == "SiO"


@pytest.mark.parametrize("name", ["data.lmp", "data.silica", "silica.data", "x.lammps-data"])
def test_a_data_file_of_lammps_is_explained(name: str, tmp_path: Path) -> None:
    error = refusal(tmp_path / name, "LAMMPS data\n\n2 atoms\n")
    assert "Z_of_type" in str(error.hint)


def test_an_unknown_type_is_said_to_be_one(tmp_path: Path) -> None:
    error = refusal(tmp_path / "x.structure", "Si at the origin\n")
    assert "type is none that ASE knows" in error.message
    assert "extended XYZ" in str(error.hint)


@pytest.mark.parametrize(
    ("label", "symbol"),
    [("D", "H"), ("T", "H"), ("Si1", "Si"), ("Si4+", "Si"), ("O2-", "O"), ("Fe_pv", "Fe")],
)
def test_labels_and_isotopes_are_refused_by_line(label: str, symbol: str, tmp_path: Path) -> None:
    text = XYZ.format(symbol="Si") + XYZ.format(symbol=label)
    error = refusal(tmp_path / "x.xyz", text)
    assert f"line 8, names {label!r}, which is not a chemical symbol" in error.message
    assert f"write {symbol} for {label}" in str(error.hint)


CUBE = 'Lattice="8 0 0 0 8 0 0 0 8" pbc="T T T"'


@pytest.mark.parametrize("properties", ["", "Properties=species:S:1:pos:R:3"])
def test_types_for_species_are_refused(properties: str, tmp_path: Path) -> None:
    text = f"2\n{CUBE} {properties}\n1 0 0 0\n2 1.6 0 0\n"
    error = refusal(tmp_path / "x.xyz", text)
    assert "line 3, has the number '1' where a symbol belongs" in error.message
    assert "species:S:1" in str(error.hint)


def test_a_column_of_integers_for_species_is_refused(tmp_path: Path) -> None:
    text = f"1\n{CUBE} Properties=species:I:1:pos:R:3\n1 0 0 0\n"
    assert "numbers where symbols belong" in refusal(tmp_path / "x.xyz", text).message


def test_a_dump_with_types_for_elements_is_refused(tmp_path: Path) -> None:
    text = DUMP.format(step=0, columns="id type element x y z", first="1", second="2")
    error = refusal(tmp_path / "x.lammpstrj", text)
    assert "has the number '1' where a symbol belongs" in error.message
    assert "dump_modify" in str(error.hint)


@pytest.mark.parametrize("comment", ["quartz from somewhere", ""])
def test_a_poscar_without_symbols_is_refused(comment: str, tmp_path: Path) -> None:
    text = f"{comment}\n1.0\n8 0 0\n0 8 0\n0 0 8\n1 1\nCartesian\n0 0 0\n1.6 0 0\n"
    error = refusal(tmp_path / "POSCAR", text)
    assert "names no elements" in error.message
    assert "above the numbers of atoms" in str(error.hint)


def test_a_frame_without_elements_is_refused(tmp_path: Path) -> None:
    text = f"2\n{CUBE} Properties=element:S:1:pos:R:3\nSi 0 0 0\nO 1.6 0 0\n"
    error = refusal(tmp_path / "x.xyz", text)
    assert error.message.startswith("frame 0 of")
    assert "names no elements (other columns: element)" in error.message
    error = refusal(tmp_path / "x.xyz", XYZ.format(symbol="X"))
    assert "atom 1 (counting from 0)" in error.message
    assert "dummy" in error.message


@pytest.mark.parametrize("column", ["scaled_pos", "forces"])
def test_a_frame_without_positions_is_refused(column: str, tmp_path: Path) -> None:
    text = f"2\n{CUBE} Properties=species:S:1:{column}:R:3\nSi 0 0 0\nO 0.2 0 0\n"
    error = refusal(tmp_path / "x.xyz", text)
    assert "frame 0" in error.message
    assert "has no positions" in error.message
    assert "pos:R:3" in str(error.hint)


def test_one_atom_at_the_origin_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.xyz").write_text(f"1\n{CUBE}\nSi 0 0 0\n")
    assert len(read_frames(tmp_path / "x.xyz")) == 1


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StructureError, match=r"is a folder, expected a file"):
        read_frames(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda atoms: atoms.positions.__setitem__((1, 2), np.nan), r"atom 1 .* of frame 1 of"),
        (lambda atoms: atoms.cell.__setitem__((0, 0), np.inf), "frame 1 of .* cell"),
        (lambda atoms: atoms.numbers.__setitem__(1, 999), "atom 1 .* of frame 1 .* number 999"),
    ],
    ids=["position", "cell", "number"],
)
def test_what_is_no_number_is_refused(change, message: str, tmp_path: Path) -> None:
    broken = bulk("Si")
    change(broken)
    write(tmp_path / "x.json", [bulk("Si"), broken])
    with pytest.raises(StructureError, match=message):
        read_frames(tmp_path / "x.json")


def test_a_path_may_hold_a_sign_that_ase_splits_at(tmp_path: Path) -> None:
    write(tmp_path / "x@1.extxyz", [bulk("Si"), Atoms("O")], format="extxyz")
    assert len(read_frames(tmp_path / "x@1.extxyz")) == 2


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "x.extxyz", bulk("Si"))
    assert len(read_frames(Path("~/x.extxyz"))) == 1


@pytest.mark.parametrize("announced", ["3", "99999999999", "9" * 40])
@pytest.mark.parametrize("name", ["x.extxyz", "x.xyz", "x.extxyz.gz"])
def test_a_frame_cut_off_is_refused_at_once(announced: str, name: str, tmp_path: Path) -> None:
    """ASE reads on at the end of the file, once for every atom announced."""
    path = tmp_path / name
    frame = '2\nLattice="4 0 0 0 4 0 0 0 4" pbc="T T T"\nSi 0 0 0\nSi 2 2 2\n'
    text = frame + frame.replace("2", announced, 1)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    with pytest.raises(StructureError, match=f"frame 1 .* {announced} atoms, but 2 lines follow"):
        read_frames(path)


@pytest.mark.parametrize("announced", ["3", "99999999999"])
def test_a_dump_cut_off_is_refused_at_once(announced: str, tmp_path: Path) -> None:
    path = tmp_path / "x.lammpstrj"
    frame = DUMP.format(step=0, columns="id type element x y z", first="Si", second="O")
    path.write_text(frame + frame.replace("ATOMS\n2", f"ATOMS\n{announced}"))
    with pytest.raises(StructureError, match=f"frame 1 .* {announced} atoms, but 2 lines follow"):
        read_frames(path)
    path.write_text(frame + frame)
    assert [len(atoms) for atoms in read_frames(path)] == [2, 2]


def test_vectors_behind_a_frame_are_none_of_its_atoms(tmp_path: Path) -> None:
    path = tmp_path / "x.extxyz"
    frame = "1\n\nSi 0 0 0\nVEC1 5 0 0\nVEC2 0 5 0\nVEC3 0 0 5\n"
    path.write_text(2 * frame)
    assert [atoms.cell.lengths().tolist() for atoms in read_frames(path)] == [[5.0, 5.0, 5.0]] * 2


def test_a_frame_without_a_meaningful_energy_is_named(tmp_path: Path) -> None:
    lost = bulk("Si")
    lost.positions[1, 2] = 1e9
    write(tmp_path / "x.extxyz", [bulk("Si"), lost])
    with pytest.raises(StructureError, match=r"frame 1 of .*: atom 1 \(counting from 0\) is lost"):
        read_frames(tmp_path / "x.extxyz")


def test_a_flat_cell_is_not_periodic_in_all_directions() -> None:
    flat = Atoms("Si", cell=[[3, 0, 0], [0, 4, 0], [3, 0, 0]], pbc=True)
    with pytest.raises(StructureError, match=r"^mine: the cell is singular"):
        require_periodic(flat, "mine")


@pytest.mark.parametrize(
    ("shift", "where"),
    [((0, 0, 0), "$"), ((8, 0, 0), ", across the boundary of the cell$")],
    ids=["a duplicate", "its own image"],
)
def test_atoms_in_the_same_place_are_named_with_file_and_frame(
    shift: tuple[float, ...], where: str, tmp_path: Path
) -> None:
    whole = Atoms("Si4", [[0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 4]], cell=[8, 8, 8], pbc=True)
    twice = whole + Atoms("Si", [whole.positions[2] + shift])
    write(tmp_path / "x.extxyz", [whole, twice])
    message = r"^frame 1 of .*x\.extxyz: atoms 2 and 4 \(counting from 0\) are 0.0e\+00 Å apart"
    with pytest.raises(StructureError) as caught:
        read_frames(tmp_path / "x.extxyz")
    assert re.search(message + where, caught.value.message)
    assert "duplicate" in str(caught.value.hint)


@pytest.mark.parametrize("frame", [0, 1])
def test_atoms_of_a_dump_have_its_ids(frame: int, tmp_path: Path) -> None:
    """ASE sorts them: the first row is not atom 0."""
    path = tmp_path / "x.lammpstrj"
    dump = DUMP.format(step=0, columns="id type element x y z", first="Si", second="O")
    dump = dump.replace("\n1 1 Si", "\n30 1 Si").replace("\n2 2 O", "\n20 2 O")
    wrong = dump.replace("30 1 Si 0", "30 1 Si nan")
    path.write_text("".join([dump] * frame + [wrong, dump]))
    with pytest.raises(StructureError, match=f"atom 1 .* frame {frame} of .* in the dump, id 30"):
        read_frames(path)
    path.write_text(dump.replace("20 2 O 1.6", "20 2 O 8"))
    with pytest.raises(StructureError, match=r"atoms 0 and 1 .* in the dump, id 20 and 30"):
        read_frames(path)


def test_atoms_of_a_cif_have_its_labels(tmp_path: Path) -> None:
    cif = CIF.replace("'P 1'", "'P -1'")
    text = f"{cif}Si1 Si 0.1 0.2 0.3 1\nO1 O 0.4 0.1 0.2 0.5\n"
    error = refusal(tmp_path / "x.cif", text)
    assert "atom 2 (counting from 0" in error.message
    assert error.message.endswith("atoms are counted after symmetry, in the file site O1")
    unlabelled = text.replace("_atom_site_label\n", "").replace("Si1 ", "").replace("O1 ", "")
    error = refusal(tmp_path / "x.cif", unlabelled)
    assert error.message.endswith("atoms are counted after symmetry")
