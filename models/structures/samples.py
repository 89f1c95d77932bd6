"""Structures to measure on: built from a model's elements, or read from a user's file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from ase import Atoms

from m3compress.contract.cells import has_volume, perpendicular_widths
from m3compress.errors import StructureError
from m3compress.models.structures.crystals import choose_crystals, known_crystals
from m3compress.models.structures.frames import Named, read_frames, require_known
from m3compress.models.structures.supercell import reduced, smallest_supercell, supercell
from m3compress.models.structures.survey import elemental
from m3compress.models.structures.zoo import build_zoo

#: A zoo for larger structures than this holds the cells of about 1000 and 2000 atoms.
_LARGE: Final = 200
_N_CRYSTALS: Final = 3
#: Molecular dynamics of more structures than this is no test of a release but a project.
_MOST_STRUCTURES: Final = 20
#: A cell that has to be repeated into more is none of a crystal.
_MOST_ATOMS: Final = 50_000
#: A bond inside the cutoff matters only for made-up crystals; 5 Å is what all M3GNets have.
_CUTOFF: Final = 5.0


def zoo_for(
    elements: Sequence[str], cutoff: float, three_body_cutoff: float, max_atoms: int
) -> tuple[Named, ...]:
    """Small static structures of all kinds, of at most ``max_atoms`` atoms.

    Args:
        elements: Chemical symbols that the model knows.
        cutoff: Cutoff of the edges in Å.
        three_body_cutoff: Cutoff of the three-body block in Å.
        max_atoms: Largest structure.
    """
    entries = build_zoo(
        elements,
        cutoff=cutoff,
        three_body_cutoff=three_body_cutoff,
        large=max_atoms > _LARGE,
    )
    return tuple(entry for entry in entries if len(entry.atoms) <= max_atoms)


def crystals_for(elements: Sequence[str], *, most: int = _N_CRYSTALS) -> tuple[Named, ...]:
    """Crystals at rest: measured ones of unlike compositions first, small cells.

    Args:
        elements: Chemical symbols that the model knows.
        most: How many.

    Returns:
        Made-up crystals only where no measured one is known.
    """
    found = list(known_crystals(elements))
    shown = {symbol for named in found for symbol in named.atoms.symbols}
    found += [
        Named(f"{symbol}-elemental", atoms)
        for symbol in elements
        if symbol not in shown and (atoms := elemental(symbol)) is not None
    ]
    if not found:
        found = list(choose_crystals(elements, cutoff=_CUTOFF))
    return _most_telling(found)[:most]


def samples_for(elements: Sequence[str], r_max: float, n: int) -> tuple[Named, ...]:
    """Supercells for molecular dynamics, as small as radial distribution functions allow.

    Args:
        elements: Chemical symbols that the model knows.
        r_max: Largest distance of radial distribution functions in Å; the cells are at least
            twice as wide between all pairs of faces.
        n: How many.
    """
    return tuple(
        replace(named, atoms=smallest_supercell(named.atoms, 2 * r_max))
        for named in crystals_for(elements, most=n)
    )


def read_structures(
    path: Path, elements: Sequence[str], min_width: float, *, supercell: bool = True
) -> tuple[Named, ...]:
    """A user's structures for molecular dynamics.

    Args:
        path: A file of any format that ASE reads.
        elements: Chemical symbols that the model knows.
        min_width: Smallest distance in Å of opposite faces of the cell.
        supercell: Whether smaller cells are repeated; else they are refused.

    Raises:
        StructureError: If the file cannot be read, or a structure has an element that the model
            does not know, no cell, or one that is too small.
    """
    frames = read_frames(path)
    if len(frames) > _MOST_STRUCTURES:
        raise StructureError(
            f"{path} holds {len(frames)} structures, expected at most {_MOST_STRUCTURES}",
            hint="molecular dynamics runs on every one of them: give a file with a few",
        )
    named = []
    for number, atoms in enumerate(frames):
        name = path.stem if len(frames) == 1 else f"{path.stem}-{number}"
        require_known(atoms, elements, f"{name} in {path}")
        _require_cell(atoms, f"{name} in {path}")
        named.append(Named(name, _wide_enough(atoms, name, min_width, repeat=supercell)))
    return tuple(named)


def _most_telling(found: Sequence[Named]) -> tuple[Named, ...]:
    """Compositions that were not yet shown first, of most elements first.

    A second polymorph tells less than a second composition. Hydrogen, which needs short time
    steps, comes last where there are compounds without it.
    """
    contents = [set(named.atoms.symbols) for named in found]
    has_others = any(len(symbols) > 1 and "H" not in symbols for symbols in contents)
    seen: Counter[str] = Counter()
    ranked = []
    for named, symbols in zip(found, contents, strict=True):
        formula = named.atoms.get_chemical_formula(empirical=True)
        ranked.append((has_others and "H" in symbols, seen[formula], -len(symbols)))
        seen[formula] += 1
    order = sorted(range(len(found)), key=ranked.__getitem__)
    return tuple(found[row] for row in order)


def _require_cell(atoms: Atoms, what: str) -> None:
    if not has_volume(atoms):
        no_cell = atoms.pbc.all() or atoms.cell.rank < 3
        missing = "has no cell" if no_cell else f"has pbc={atoms.pbc.tolist()}"
        raise StructureError(
            f"{what} {missing}, expected a crystal or a liquid that is periodic in all directions",
            hint="write the cell into the file, for instance Lattice=... in extended XYZ",
        )


def _wide_enough(atoms: Atoms, name: str, min_width: float, *, repeat: bool) -> Atoms:
    plain = Atoms(
        numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True
    )  # no calculator, constraints or charges of the file
    # The cell as it is, unless it is so skewed that another one of the same crystal needs less.
    cell = min((plain, reduced(plain)), key=lambda cell: _n_repeats(cell, min_width))
    narrowest = perpendicular_widths(cell).min()
    if not repeat and narrowest < min_width:
        raise StructureError(
            f"the cell of {name} is {narrowest:.2f} Å wide, expected at least {min_width:.2f} Å",
            hint="--supercell repeats it as often as it takes",
        )
    n_atoms = _n_repeats(cell, min_width) * len(cell)
    if n_atoms > _MOST_ATOMS:
        raise StructureError(
            f"the cell of {name} is {narrowest:.3g} Å wide: it would take {n_atoms:.3g} atoms to "
            f"make it {min_width:.3g} Å wide",
            hint="is the cell of the file in Å, and is it that of a crystal?",
        )
    return supercell(cell, min_width)


def _n_repeats(atoms: Atoms, min_width: float) -> float:
    """About as many as :func:`supercell` needs."""
    return float(np.prod(np.maximum(1, np.ceil(min_width / perpendicular_widths(atoms)))))
