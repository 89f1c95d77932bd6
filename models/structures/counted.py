"""Atoms as the file of a user counts them, where that is not the order in which they are read.

ASE sorts the atoms of a LAMMPS dump by their ids, and repeats the sites of a CIF by its symmetry.
"""

from __future__ import annotations

from pathlib import Path

from ase.io.formats import open_with_compression

from m3compress.errors import StructureError
from m3compress.models.structures.mistaken import format_of


def as_the_file_counts(error: StructureError, path: Path, frame: int) -> StructureError:
    """The same error, with what the file calls the atoms at fault.

    Args:
        error: What is wrong with a frame; its ``atoms`` are counted as they were read.
        path: File of the frame.
        frame: Its number, from 0.
    """
    if not error.atoms:
        return error
    known_as, called = format_of(path), ""
    if known_as == "lammps-dump-text":
        called = _ids(path, frame, error.atoms)
    elif known_as == "cif":
        called = _sites(path, frame, error.atoms)
    return StructureError(f"{error.message}{called}", hint=error.hint, atoms=error.atoms)


def _ids(path: Path, frame: int, atoms: tuple[int, ...]) -> str:
    """Ids of atoms in a dump; nothing where it has none."""
    with open_with_compression(str(path), "rt") as stream:
        lines = stream.read().splitlines()
    start = [row for row, line in enumerate(lines) if line.startswith("ITEM: ATOMS")][frame]
    columns = lines[start].split()[2:]
    if "id" not in columns:
        return ""
    end = next((n for n in range(start + 1, len(lines)) if lines[n].startswith("ITEM:")), None)
    rows = [line.split() for line in lines[start + 1 : end] if line.strip()]
    ids = sorted(int(row[columns.index("id")]) for row in rows)
    return f"; in the dump, id {' and '.join(str(ids[atom]) for atom in atoms)}"


def _sites(path: Path, frame: int, atoms: tuple[int, ...]) -> str:
    """Labels of the sites of a CIF that atoms are on."""
    from ase.io import read

    counted = "; atoms are counted after symmetry"
    found = read(path, index=frame, do_not_split_by_at_sign=True, store_tags=True)
    labels, kinds = found.info.get("_atom_site_label"), found.arrays.get("spacegroup_kinds")
    if labels is None or kinds is None:
        return counted
    labels = [labels] if isinstance(labels, str) else labels
    return f"{counted}, in the file site {' and '.join(str(labels[kinds[a]]) for a in atoms)}"
