"""Cells of every kind that a code may get wrong, made from one crystal that the model describes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from ase import Atoms, units
from ase.data import atomic_numbers, chemical_symbols, covalent_radii

from m3compress.contract.arrays import FloatArray

_RATTLE: Final = 0.05  # Å, so that forces are some eV/Å
_EMPTY: Final = 1.2  # cutoffs of vacuum
_LARGEST_MOLECULE: Final = 4  # atoms
_OBLIQUE: Final = np.array([[1.02, 0.0, 0.0], [0.38, 0.98, 0.0], [-0.21, 0.27, 1.01]])
_TINY: Final = np.array([[1.0, 0.0, 0.0], [0.08, 1.04, 0.0], [0.04, 0.12, 1.08]])


@dataclass(frozen=True, slots=True)
class Cell:
    """A structure, and what reports call it."""

    name: str
    atoms: Atoms


def sample_cells(crystal: Atoms, elements: Sequence[str], cutoff: float) -> tuple[Cell, ...]:
    """One cell of every kind, the same on every call.

    Args:
        crystal: A cell near rest that the model describes, periodic in all directions.
        elements: Chemical symbols that the model knows.
        cutoff: Of the edges in Å.
    """
    oblique = crystal.copy()
    oblique.set_cell(crystal.cell.array @ _OBLIQUE, scale_atoms=True)
    open_slab = _slab(crystal, cutoff)
    open_slab.pbc = (True, True, False)
    molecule = _molecule(crystal, cutoff)
    loose = molecule.copy()
    loose.pbc, loose.cell = False, None
    return (
        Cell("two elements", _rattled(_with_two(crystal, elements), 0)),
        Cell("triclinic", _rattled(oblique, 1)),
        Cell("tiny", _tiny(crystal.get_chemical_symbols()[0], cutoff)),
        Cell("slab", _slab(crystal, cutoff)),
        Cell("slab, open", open_slab),
        Cell("molecule in a box", molecule),
        Cell("molecule", loose),
    )


def unknown_element(elements: Sequence[str]) -> str | None:
    """An element that the model does not know, the lightest one; None if it takes them all."""
    unknown = [symbol for symbol in chemical_symbols[1:] if symbol not in elements]
    return unknown[0] if unknown else None


def set_in_motion(atoms: Atoms, temperature: float) -> Atoms:
    """A copy with random velocities of twice a temperature (K), without net momentum.

    A crystal at rest gives half of its kinetic energy to its springs at once.
    """
    moving, masses = atoms.copy(), atoms.get_masses()
    drawn = np.random.default_rng(5).normal(size=(len(atoms), 3))
    momenta = drawn * np.sqrt(2 * temperature * units.kB * masses)[:, None]
    velocity = momenta.sum(axis=0) / masses.sum()
    moving.set_momenta(momenta - masses[:, None] * velocity)
    return moving


def _rattled(atoms: Atoms, seed: int) -> Atoms:
    moved = atoms.copy()
    moved.positions += np.random.default_rng(seed).normal(0.0, _RATTLE, (len(moved), 3))
    return moved


def _with_two(crystal: Atoms, elements: Sequence[str]) -> Atoms:
    """The crystal; with an atom of another element where it has only one and the model more."""
    others = [symbol for symbol in elements if symbol not in set(crystal.symbols)]
    if len(set(crystal.symbols)) > 1 or not others:
        return crystal.copy()
    # As many atoms of either would hide one taken for the other.
    mixed = crystal.repeat((2, 1, 1)) if len(crystal) < 3 else crystal.copy()
    mixed.symbols[-1] = others[0]
    return mixed


def _tiny(symbol: str, cutoff: float) -> Atoms:
    """One atom whose neighbours are images of itself."""
    spacing = min(2 * float(covalent_radii[atomic_numbers[symbol]]) + 0.2, 0.8 * cutoff)
    return Atoms(symbol, cell=spacing * _TINY, pbc=True)


def _slab(crystal: Atoms, cutoff: float) -> Atoms:
    slab = _rattled(crystal, 2)
    slab.center(vacuum=0.5 * _EMPTY * cutoff, axis=2)
    return slab


def _molecule(crystal: Atoms, cutoff: float) -> Atoms:
    """The first atom and those nearest to it, in a box that no edge crosses."""
    n_images = 2 if len(crystal) < _LARGEST_MOLECULE else 1
    block = crystal.repeat(n_images)
    order = np.argsort(block.get_distances(0, np.arange(len(block)), mic=False))
    piece = _rattled(block[order[:_LARGEST_MOLECULE]], 3)
    span: FloatArray = np.ptp(piece.positions, axis=0)
    piece.set_cell(np.diag(span + _EMPTY * cutoff))
    piece.center()
    piece.pbc = True
    return piece
