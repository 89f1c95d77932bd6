"""Rows of structures: a stretched bond, a bent angle, in small molecules and in crystals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from ase import Atoms

from m3compress.contract.arrays import FloatArray
from m3compress.contract.neighbors import find_edges
from m3compress.models.structures.frames import Named

_LENGTH: Final = "distance (Å)"
_ANGLE: Final = "angle (°)"
_STRETCHES: Final = np.linspace(-0.2, 0.8, 15)  # Å
_ANGLES: Final = np.linspace(60.0, 180.0, 25)  # degrees
_BENDS: Final = np.linspace(-16.0, 16.0, 13)  # degrees


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


def scan_dimer(a: str, b: str, lengths: FloatArray) -> Scan:
    """Two atoms at these distances in Å, shape (n_points,)."""
    frames = tuple(Atoms([a, b], positions=[[0, 0, 0], [0, 0, d]]) for d in lengths)
    return Scan(f"dimer:{a}-{b}", "molecule", _LENGTH, lengths, frames)


def scan_bond(entry: Named, cutoff: float) -> Scan:
    """One atom of a crystal moved along its shortest bond.

    Args:
        entry: The crystal.
        cutoff: Longest bond in Å.
    """
    i, bonds = _most_bonded(entry.atoms, cutoff)
    j, vector = bonds[0]
    length = float(np.linalg.norm(vector))
    frames = tuple(_moved(entry.atoms, j, step * vector / length) for step in _STRETCHES)
    symbols = _joined(entry.atoms, (i, j))
    return Scan(f"bond:{symbols}", entry.name, _LENGTH, length + _STRETCHES, frames)


def scan_angle(entry: Named, cutoff: float) -> Scan | None:
    """One angle of a crystal bent by up to 16°; None where none can be bent.

    Args:
        entry: The crystal.
        cutoff: Longest leg in Å.
    """
    i, bonds = _most_bonded(entry.atoms, cutoff)
    j, leg = bonds[0]
    # An image of the same atom would move along.
    others = [bond for bond in bonds if bond[0] != j]
    if not others:
        return None
    k, other = others[0]
    axis = np.cross(other, leg)
    if np.linalg.norm(axis) < 0.1 * np.linalg.norm(leg) * np.linalg.norm(other):
        return None  # a straight angle cannot be bent within a plane of its own
    frames = tuple(_moved(entry.atoms, j, _turned(leg, axis, bend) - leg) for bend in _BENDS)
    symbols = _joined(entry.atoms, (j, i, k))
    start = np.degrees(np.arctan2(np.linalg.norm(axis), leg @ other))
    return Scan(f"angle:{symbols}", entry.name, _ANGLE, start + _BENDS, frames)


def scan_molecule(end: str, center: str, leg: float) -> Scan:
    """A molecule of three atoms with legs of so many Å, bent from 60° to 180°."""
    frames = tuple(_bent(end, center, leg, np.radians(angle)) for angle in _ANGLES)
    return Scan(f"angle:{end}-{center}-{end}", "molecule", _ANGLE, _ANGLES, frames)


def _bent(end: str, center: str, leg: float, angle: float) -> Atoms:
    tip = [leg * np.sin(angle), 0.0, leg * np.cos(angle)]
    return Atoms([end, center, end], positions=[[0, 0, leg], [0, 0, 0], tip])


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
