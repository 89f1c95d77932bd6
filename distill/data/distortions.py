"""Crystals strained and rattled at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms


@dataclass(frozen=True, slots=True, kw_only=True)
class Distortion:
    """How far crystals are distorted.

    Attributes:
        volume: The volume changes by up to this fraction.
        strain: Components of the strain that leaves the volume alone, at most.
        rattle: Smallest and largest standard deviation of Cartesian displacements in Å.
    """

    volume: float = 0.06
    strain: float = 0.03
    rattle: tuple[float, float] = (0.02, 0.20)

    def draw_rattle(self, rng: np.random.Generator) -> float:
        """A standard deviation in Å, evenly distributed in its logarithm."""
        smallest, largest = np.log(self.rattle)
        return float(np.exp(rng.uniform(smallest, largest)))

    def apply(self, parent: Atoms, rng: np.random.Generator, *, rattle: float) -> Atoms:
        """A strained and rattled copy.

        Args:
            parent: A crystal.
            rng: Source of randomness.
            rattle: Standard deviation of every Cartesian displacement in Å.
        """
        strain = rng.uniform(-self.strain, self.strain, (3, 3))
        strain = (strain + strain.T) / 2
        strain -= np.eye(3) * np.trace(strain) / 3
        scale = (1 + rng.uniform(-self.volume, self.volume)) ** (1 / 3)
        atoms = parent.copy()
        atoms.set_cell(atoms.cell.array @ (scale * (np.eye(3) + strain)), scale_atoms=True)
        atoms.positions += rng.normal(0, rattle, atoms.positions.shape)
        return atoms
