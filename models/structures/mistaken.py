"""Structure files that ASE takes for something else, or refuses with a word only its authors know.

A file that is read as another structure is worse than one that is not read: types of a LAMMPS dump
become hydrogen and helium, and a site that two elements share becomes one of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from ase.io.formats import UnknownFileTypeError, filetype, open_with_compression

from m3compress.errors import StructureError

#: Occupancies are written with few digits.
_WHOLE: Final = 5e-3
_ISOTOPES: Final = {"D": "H", "T": "H"}
#: A symbol with what users and codes put behind it: Si1, Si4+, O2-, Fe_pv, H(1).
_LABEL: Final = re.compile(r"([A-Z][a-z]?)[\d+\-_*'(].*")
_ANY_FORMAT: Final = "any format of ASE will do, for instance extended XYZ, CIF or POSCAR"
_NAME_ELEMENTS: Final = (
    "write the dump with `dump_modify ID element Si O ...` and the column `element`, or name them "
    "on reading, ase.io.read(..., specorder=['Si', 'O']), and write extended XYZ"
)
_NAME_TYPES: Final = (
    "a LAMMPS data file names no elements: convert it with ase.io.read(FILE, format='lammps-data', "
    "Z_of_type={1: 14, 2: 8}) and ase.io.write('FILE.extxyz', ...)"
)
_NAME_SPECIES: Final = (
    "write symbols in the column `species` of extended XYZ, Properties=species:S:1:pos:R:3, or "
    "atomic numbers in a column `Z`, Properties=Z:I:1:pos:R:3; types of LAMMPS are neither"
)
_NAME_POSITIONS: Final = (
    "extended XYZ needs the column `pos`, in Å: Properties=species:S:1:pos:R:3; fractional "
    "coordinates are read from CIF and POSCAR"
)
_NAME_IN_POSCAR: Final = (
    "write them in a line of their own above the numbers of atoms, for instance `Si O` above `3 6`"
)
_LAMMPS_DATA: Final = (".lmp", ".data", ".lammps", ".lammps-data")


def refuse_nameless_elements(path: Path) -> None:
    """Refuse a file of LAMMPS that numbers its types where elements should stand.

    Args:
        path: A file that exists.

    Raises:
        StructureError: Asking for the names.
    """
    known_as = format_of(path)
    if known_as == "lammps-data":
        raise StructureError(f"{path} numbers types and names no elements", hint=_NAME_TYPES)
    if known_as == "lammps-dump-binary":
        raise StructureError(f"{path} is a binary dump without elements", hint=_NAME_ELEMENTS)
    if known_as != "lammps-dump-text":
        return
    with open_with_compression(str(path), "rt") as stream:
        columns = [line.split()[2:] for line in stream if line.startswith("ITEM: ATOMS")]
    for number, names in enumerate(columns):
        if "element" not in names:
            raise StructureError(
                f"frame {number} of {path} names no elements: its columns are {' '.join(names)}",
                hint=_NAME_ELEMENTS,
            )


def format_of(path: Path) -> str | None:
    """What ASE takes a file for; None where reading it will fail, which is explained there."""
    try:
        return str(filetype(str(path)))
    except Exception:
        return None


def unreadable(path: Path, error: Exception) -> StructureError:
    """What to say of a file that ASE refused.

    Args:
        path: The file.
        error: What ASE raised.
    """
    if isinstance(error, UnknownFileTypeError):
        return StructureError(
            f"{path} cannot be read as structures: its type is none that ASE knows",
            hint=_way_out(path),
        )
    nameless = _without_symbols(path, error)
    if nameless is not None:
        return nameless
    reason = " ".join(str(error).split()) or type(error).__name__
    return StructureError(f"{path} cannot be read as structures: {reason}", hint=_way_out(path))


def _without_symbols(path: Path, error: Exception) -> StructureError | None:
    """What to say where something else stands for chemical symbols; None if it is not that."""
    if "Could not determine chemical symbols" in str(error):  # ASE, of a POSCAR as VASP 4 wrote it
        return StructureError(f"{path} names no elements", hint=_NAME_IN_POSCAR)
    if isinstance(error, AttributeError) and "capitalize" in str(error):  # a column of integers
        return StructureError(f"{path} has numbers where symbols belong", hint=_NAME_SPECIES)
    label = error.args[0] if isinstance(error, KeyError) and error.args else None
    if not isinstance(label, str):
        return None
    if label.isdigit():
        is_dump = format_of(path) == "lammps-dump-text"
        return StructureError(
            f"{path}{_line_of(path, label)} has the number {str(label)!r} where a symbol belongs",
            hint=_NAME_ELEMENTS if is_dump else _NAME_SPECIES,
        )
    symbol = _meant(label)
    if symbol is None:
        return None
    return StructureError(
        f"{path}{_line_of(path, label)} names {label!r}, which is not a chemical symbol",
        hint=_instead(label, symbol),
    )


def empty(path: Path) -> StructureError:
    """What to say of a file in which ASE found nothing."""
    return StructureError(f"{path} holds no structure", hint=_way_out(path))


def refuse_what_is_no_structure(atoms: Atoms, frame: str) -> None:
    """Refuse a frame without atoms, with numbers that are none, or with sites filled in part.

    Args:
        atoms: As ASE read it.
        frame: What to call it: "frame 0 of FILE".

    Raises:
        StructureError: Naming the first atom or site at fault.
    """
    if not len(atoms):
        raise StructureError(f"{frame} has no atoms")
    wrong = np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))
    if len(wrong):
        raise StructureError(
            f"atom {wrong[0]} (counting from 0) of {frame} has positions that are not numbers",
            atoms=(int(wrong[0]),),
        )
    if not np.isfinite(atoms.cell.array).all():
        raise StructureError(f"{frame} has a cell that holds values that are not numbers")
    _refuse_unknown_elements(atoms, frame)
    if len(atoms) > 1 and not atoms.positions.any():
        raise StructureError(
            f"{frame} has no positions: all atoms are at 0, 0, 0 (other columns: {_others(atoms)})",
            hint=_NAME_POSITIONS,
        )
    _refuse_partial_occupancy(atoms, frame)


def _others(atoms: Atoms) -> str:
    return ", ".join(sorted(set(atoms.arrays) - {"numbers", "positions"})) or "none"


def _refuse_unknown_elements(atoms: Atoms, frame: str) -> None:
    wrong = np.flatnonzero((atoms.numbers < 1) | (atoms.numbers >= len(chemical_symbols)))
    if not len(wrong):
        return
    if not atoms.numbers.any():
        raise StructureError(
            f"{frame} names no elements (other columns: {_others(atoms)})", hint=_NAME_SPECIES
        )
    number = atoms.numbers[wrong[0]]
    raise StructureError(
        f"atom {wrong[0]} (counting from 0) of {frame} has atomic number {number}"
        f"{', that of a dummy atom,' if number == 0 else ','} expected 1 to "
        f"{len(chemical_symbols) - 1}",
        hint="name its element, or leave it out",
        atoms=(int(wrong[0]),),
    )


def _refuse_partial_occupancy(atoms: Atoms, frame: str) -> None:
    column = atoms.arrays.get("occupancy")
    # Programs that know no occupancies fill the column of a PDB file with zeros.
    if "occupancy" not in atoms.info and (column is None or not np.any(column)):
        return
    for atom in range(len(atoms)):
        content = _content(atoms, atom)
        if len(content) == 1 and abs(next(iter(content.values())) - 1) < _WHOLE:
            continue
        place = ", ".join(f"{x:.4g}" for x in atoms.positions[atom])
        holds = " and ".join(f"{symbol} {share:g}" for symbol, share in content.items())
        raise StructureError(
            f"the site of atom {atom} (counting from 0; at {place} Å) of {frame} is occupied in "
            f"part: {holds}",
            hint="give an ordered structure, for instance a supercell with its sites filled by lot",
            atoms=(atom,),
        )


def _content(atoms: Atoms, atom: int) -> Mapping[str, float]:
    """Elements on the site of an atom and their occupancies; one and 1 where nothing is said."""
    alone = str(atoms.symbols[atom])
    if "occupancy" in atoms.arrays:
        return {alone: _share(atoms.arrays["occupancy"][atom])}
    sites = atoms.info.get("occupancy")
    if not isinstance(sites, Mapping):
        return {alone: 1.0}
    # ASE writes the number of a site as text; what went through its JSON may hold numbers.
    kinds = atoms.arrays.get("spacegroup_kinds", np.arange(len(atoms)))
    content = sites.get(str(kinds[atom]), sites.get(kinds[atom]))
    if not isinstance(content, Mapping) or not content:
        return {alone: 1.0}
    return {str(symbol): _share(share) for symbol, share in content.items()}


def _share(value: Any) -> float:
    """An occupancy; a CIF file leaves one that is 1 unknown, ``?`` or ``.``."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return 1.0


def _way_out(path: Path) -> str:
    is_data = path.suffix in _LAMMPS_DATA or path.name.startswith("data.")
    return _NAME_TYPES if is_data else _ANY_FORMAT


def _meant(label: str) -> str | None:
    """The element that a label begins with; None if it is no label of one."""
    if label in _ISOTOPES:
        return _ISOTOPES[label]
    match = _LABEL.fullmatch(label)
    if match is None:
        return None
    for symbol in (match[1], match[1][0]):
        if symbol in atomic_numbers:
            return symbol
    return _ISOTOPES.get(match[1])


def _line_of(path: Path, label: str) -> str:
    try:
        with open_with_compression(str(path), "rt") as stream:
            for number, line in enumerate(stream, start=1):
                # A header of extended XYZ may hold the same letters: pbc="T T T". A number may be
                # anything but in the first of the four columns that an atom takes.
                words = line.split()
                if label.isdigit():
                    words = words[:1] if len(words) >= 4 else []
                if "=" not in line and label in words:
                    return f", line {number},"
    except (OSError, ValueError):
        pass
    return ""


def _instead(label: str, symbol: str) -> str:
    if label in _ISOTOPES:
        return (
            f"write {symbol} for {label}: isotopes have the same energy; give masses in a column, "
            "for instance masses:R:1 in extended XYZ"
        )
    return f"write {symbol} for {label}: numbers and charges are not part of a symbol"
