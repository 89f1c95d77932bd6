"""What a potential says about one structure, whoever evaluates it; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from m3compress.models.neighbors import FloatArray
from m3compress.units import VOIGT


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Energy and derivatives of one structure.

    Attributes:
        energy: Total energy in eV, Σ ``energies`` + a constant of the model.
        energies: Energy of every atom in eV, shape (n_atoms,).
        forces: In eV/Å, shape (n_atoms, 3).
        virial: ∂E/∂strain in eV, shape (3, 3); the stress is virial / volume.
    """

    energy: float
    energies: FloatArray
    forces: FloatArray
    virial: FloatArray

    def stress(self, atoms: Atoms) -> FloatArray:
        """(1/V) ∂E/∂strain in eV/Å³, Voigt order xx, yy, zz, yz, xz, xy, shape (6,).

        Args:
            atoms: The structure, which has a volume.
        """
        symmetric = (self.virial + self.virial.T) / (2 * atoms.get_volume())
        return np.array([symmetric[row, column] for row, column in VOIGT])
