"""Energies of candidate and reference along a stretched bond and a bent angle.

Small molecules show the bare terms, and an atom moved in a crystal shows them where they matter.
Nothing is aligned: the difference is that of total energies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Final

import numpy as np
from ase import Atoms

from m3compress.analysis.curves import Plot
from m3compress.contract.neighbors import FloatArray, find_edges
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.building import Case, Check, on_structures
from m3compress.validate.checks.selection import (
    Found,
    bond_length,
    common_elements,
    largest,
    select,
)
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.subject import Subject

_ELEMENTS: Final = 2  # of the most common ones
_CRYSTALS: Final = 2
_ENERGY: Final = "energy (eV)"
_LENGTH: Final = "distance (Å)"
_ANGLE: Final = "angle (°)"

_SHORTEST: Final = 0.75  # bonds; closer than that no model has been trained
_DIMER_POINTS: Final = 40
_STRETCHES: Final = np.linspace(-0.2, 0.8, 15)  # Å
_ANGLES: Final = np.linspace(60.0, 180.0, 25)  # degrees
_BENDS: Final = np.linspace(-16.0, 16.0, 13)  # degrees
#: Both legs of an angle are well inside the three-body cutoff, or there is no triplet.
_LONGEST_LEG: Final = 0.7  # of the three-body cutoff


@dataclass(frozen=True, slots=True)
class Scan:
    """A row of structures.

    Attributes:
        figure: Kind and elements, ``angle:O-Si-O``.
        structure: What is scanned: ``molecule``, or the name of a crystal.
        x_label: Quantity and unit of ``x``.
        x: What changes from one structure to the next, shape (n_points,).
        frames: As many structures.
    """

    figure: str
    structure: str
    x_label: str
    x: FloatArray
    frames: tuple[Atoms, ...]

    @property
    def name(self) -> str:
        """Shown in the report."""
        return f"{self.figure} {self.structure}"


def scan_dimers(context: Context, subject: Subject) -> Iterable[Scan]:
    """Two atoms from a compressed bond to beyond the cutoff."""
    for a, b in combinations_with_replacement(common_elements(context, subject, _ELEMENTS), 2):
        start = min(_SHORTEST * bond_length(a, b), 0.5 * subject.cutoff)
        x = np.linspace(start, 1.04 * subject.cutoff, _DIMER_POINTS)
        frames = tuple(Atoms([a, b], positions=[[0, 0, 0], [0, 0, d]]) for d in x)
        yield Scan(f"dimer:{a}-{b}", "molecule", _LENGTH, x, frames)


def scan_bonds(context: Context, subject: Subject) -> Iterable[Scan]:
    """One atom of a crystal moved along its shortest bond."""
    for entry in _crystals(context, subject):
        i, bonds = _most_bonded(entry.atoms, subject.three_body_cutoff)
        j, vector = bonds[0]
        length = float(np.linalg.norm(vector))
        frames = tuple(_moved(entry.atoms, j, step * vector / length) for step in _STRETCHES)
        symbols = _joined(entry.atoms, (i, j))
        yield Scan(f"bond:{symbols}", entry.name, _LENGTH, length + _STRETCHES, frames)


def scan_angles(context: Context, subject: Subject) -> Iterable[Scan]:
    """Molecules A-B-A bent from 60° to 180°, and one angle of a crystal bent by up to 16°."""
    yield from _bent_molecules(context, subject)
    for entry in _crystals(context, subject):
        i, bonds = _most_bonded(entry.atoms, subject.three_body_cutoff)
        j, leg = bonds[0]
        # An image of the same atom would move along.
        others = [bond for bond in bonds if bond[0] != j]
        if not others:
            continue
        k, other = others[0]
        axis = np.cross(other, leg)
        if np.linalg.norm(axis) < 0.1 * np.linalg.norm(leg) * np.linalg.norm(other):
            continue  # a straight angle cannot be bent within a plane of its own
        frames = tuple(_moved(entry.atoms, j, _turned(leg, axis, bend) - leg) for bend in _BENDS)
        symbols = _joined(entry.atoms, (j, i, k))
        start = np.degrees(np.arctan2(np.linalg.norm(axis), leg @ other))
        yield Scan(f"angle:{symbols}", entry.name, _ANGLE, start + _BENDS, frames)


def _bent_molecules(context: Context, subject: Subject) -> Iterable[Scan]:
    elements = common_elements(context, subject, _ELEMENTS)
    for center in elements:
        for end in elements:
            if center == end and len(elements) > 1:
                continue
            leg = min(bond_length(center, end), _LONGEST_LEG * subject.three_body_cutoff)
            frames = tuple(_bent(end, center, leg, np.radians(angle)) for angle in _ANGLES)
            yield Scan(f"angle:{end}-{center}-{end}", "molecule", _ANGLE, _ANGLES, frames)


def _bent(end: str, center: str, leg: float, angle: float) -> Atoms:
    tip = [leg * np.sin(angle), 0.0, leg * np.cos(angle)]
    return Atoms([end, center, end], positions=[[0, 0, leg], [0, 0, 0], tip])


def _crystals(context: Context, subject: Subject) -> tuple[Named, ...]:
    """Crystals of more than one element where there are any: their bonds are the stiff ones."""
    structures = select(context, subject, most=4 * _CRYSTALS, at_least=5, periodic=3)
    return tuple(sorted(structures, key=lambda e: -len(set(e.atoms.symbols))))[:_CRYSTALS]


def _most_bonded(atoms: Atoms, cutoff: float) -> tuple[int, list[tuple[int, FloatArray]]]:
    """The atom with the most bonds, and its bonds to other atoms: (atom, vector), shortest first.

    A bond is at most a third longer than the shortest of its atom.
    """
    edges, vectors = find_edges(atoms, cutoff)
    lengths = np.linalg.norm(vectors, axis=1)
    best: tuple[int, list[tuple[int, FloatArray]]] = (0, [])
    for atom in range(len(atoms)):
        own = np.flatnonzero((edges.centers == atom) & (edges.neighbors != atom))
        own = own[np.argsort(lengths[own], kind="stable")]
        near = [edge for edge in own if lengths[edge] < 4 / 3 * lengths[own[0]]]
        if len(near) > len(best[1]):
            best = (atom, [(int(edges.neighbors[edge]), vectors[edge]) for edge in near])
    return best


def _moved(atoms: Atoms, atom: int, vector: FloatArray) -> Atoms:
    copy = atoms.copy()
    copy.positions[atom] += vector
    return copy


def _turned(vector: FloatArray, axis: FloatArray, degrees: float) -> FloatArray:
    """A vector turned about a perpendicular axis, away from where the axis was crossed from."""
    angle = np.radians(degrees)
    unit = axis / np.linalg.norm(axis)
    return np.asarray(np.cos(angle) * vector + np.sin(angle) * np.cross(unit, vector))


def _joined(atoms: Atoms, indices: Sequence[int]) -> str:
    return "-".join(atoms.symbols[index] for index in indices)


def _compare(case: Case[Scan]) -> Found:
    """Largest difference of energies of subject and reference along a scan."""
    scan, reference = case.entry, case.context.reference_subject
    ours = np.array([case.subject.evaluate(atoms).energy for atoms in scan.frames])
    theirs = np.array([reference.evaluate(atoms).energy for atoms in scan.frames])
    difference = np.abs(ours - theirs)
    at = float(scan.x[int(np.argmax(np.nan_to_num(difference, nan=np.inf)))])
    plot = Plot(scan.figure, scan.structure, scan.x_label, _ENERGY)
    evidence = {"at": at, "x_label": scan.x_label}
    return Found(largest(difference), evidence, plot.both(scan.x, ours, theirs))


_ABSENT: Final = "no structure has such a scan"

CHECKS: Final[tuple[Check, ...]] = (
    on_structures(
        "smooth.dimer",
        "energies of dimers against the reference's, from compressed to beyond the cutoff",
        _compare,
        among=scan_dimers,
        absent=_ABSENT,
    ),
    on_structures(
        "smooth.bond",
        "energies of stretched bonds in crystals against the reference's",
        _compare,
        among=scan_bonds,
        absent=_ABSENT,
    ),
    on_structures(
        "smooth.angle",
        "energies of bent angles against the reference's",
        _compare,
        among=scan_angles,
        absent=_ABSENT,
    ),
)
