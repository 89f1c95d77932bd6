"""Structures with names, and those that users bring in files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from ase import Atoms

from m3compress.contract.cells import has_volume
from m3compress.contract.files import expanded
from m3compress.contract.neighbors import check_structure
from m3compress.errors import StructureError
from m3compress.models.structures.coincident import refuse_coincident

#: What a structure is. ``real``: a measured crystal or a user's structure, at rest or with atoms
#: displaced. ``altered``: a crystal that was strained, enlarged or lost an atom. ``made-up``: a
#: crystal with bonds of covalent radii, at rest or with atoms displaced. ``extreme``: what no
#: simulation of a solid or a liquid visits, there to find errors of the code.
Kind = Literal["real", "altered", "made-up", "extreme"]

#: What a crystal without forces and stress is there to reveal.
AT_REST: Final = "forces at rest, energy per atom"


@dataclass(frozen=True, slots=True)
class Named:
    """A structure, what it is, and what reports call it.

    Attributes:
        name: Unique among the structures of one use.
        atoms: The structure.
        kind: What it is.
        purpose: What it is there to reveal; empty for a structure of the user's.
        cell: The cell that ASE repeated to make it, where it is a repeated one.
    """

    name: str
    atoms: Atoms
    kind: Kind = "real"
    purpose: str = ""
    cell: Atoms | None = None


def read_frames(path: Path) -> list[Atoms]:
    """All frames of a file of any format that ASE reads.

    Raises:
        StructureError: If it is missing, unreadable or empty, or says less than a structure: labels
            for symbols, types for elements, no positions, sites occupied in part; or if a frame has
            no meaningful energy. File and frame, atom or line are named.
    """
    from ase.io import read

    from m3compress.models.structures.counted import as_the_file_counts
    from m3compress.models.structures.cut_off import refuse_frames_cut_off
    from m3compress.models.structures.mistaken import (
        empty,
        refuse_nameless_elements,
        refuse_what_is_no_structure,
        unreadable,
    )

    path = expanded(path)
    if path.is_dir():
        raise StructureError(
            f"{path} is a folder, expected a file", hint="name one of the files in it"
        )
    if not path.is_file():
        raise StructureError(f"there is no file {path}", hint="check the path")
    refuse_nameless_elements(path)
    refuse_frames_cut_off(path)
    try:
        frames = read(path, index=":", do_not_split_by_at_sign=True)
    except Exception as error:  # every format of ASE fails in its own way
        raise unreadable(path, error) from error
    frames = frames if isinstance(frames, list) else [frames]
    if not frames:
        raise empty(path)
    for number, atoms in enumerate(frames):
        try:
            refuse_what_is_no_structure(atoms, f"frame {number} of {path}")
            require_energy(atoms, f"frame {number} of {path}")
        except StructureError as error:
            raise as_the_file_counts(error, path, number) from error
    return frames


def read_named(path: Path) -> list[Named]:
    """The structures of a file of any format that ASE reads, each with a name of its own.

    It is what the file calls it (``name=…`` in extended XYZ), else its formula; later ones of the
    same name are numbered.

    Raises:
        StructureError: See :func:`read_frames`.
    """
    named: list[Named] = []
    seen: Counter[str] = Counter()
    for atoms in read_frames(path):
        name = str(atoms.info.get("name") or atoms.get_chemical_formula("metal", empirical=True))
        seen[name] += 1
        named.append(Named(name if seen[name] == 1 else f"{name}-{seen[name]}", atoms))
    return named


def plain_values(atoms: Atoms) -> dict[str, Any]:
    """Elements, positions (Å) and cell (Å) as plain values: what a structure is told apart by."""
    return {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
    }


def require_known(atoms: Atoms, elements: Sequence[str], what: str) -> None:
    """Refuse a structure with elements that a model does not know.

    Raises:
        StructureError: Naming them.
    """
    unknown = sorted(set(atoms.symbols) - set(elements))
    if unknown:
        known = ", ".join(elements) if len(elements) <= 12 else f"{len(elements)} others"
        raise StructureError(
            f"{what} contains {', '.join(unknown)}; the model knows {known}",
            hint="leave such structures out, or validate a model that was trained on them",
        )


def require_energy(atoms: Atoms, what: str) -> None:
    """Refuse a structure that has no meaningful energy, whatever the model.

    Raises:
        StructureError: See :func:`~m3compress.contract.neighbors.check_structure`; or for two atoms
            in the same place.
    """
    try:
        check_structure(atoms)
        refuse_coincident(atoms)
    except StructureError as error:
        message = f"{what}: {error.message}"
        raise StructureError(message, hint=error.hint, atoms=error.atoms) from error


def require_periodic(atoms: Atoms, what: str) -> None:
    """Refuse a structure without a volume, and so without a stress.

    Raises:
        StructureError: If it is not periodic in all directions, or its cell is flat.
    """
    require_energy(atoms, what)
    if not has_volume(atoms):
        raise StructureError(
            f"{what} is not periodic in all directions, got pbc={atoms.pbc.tolist()}",
            hint="put molecules and slabs into a cell with vacuum, with pbc T T T",
        )
