"""A plain ASE calculator around a PyTorch potential, to make frames and to check the result."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from m3compress.models.potential import Potential, evaluate


class TorchCalculator(Calculator):
    """Energies (eV), forces (eV/Å) and stresses (eV/Å³, Voigt) of :func:`evaluate`.

    Args:
        potential: The potential, in the precision and three-body form in which to evaluate.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(self, potential: Potential) -> None:
        super().__init__()
        self.potential = potential

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Evaluate everything at once."""
        super().calculate(atoms, properties, system_changes)
        result = evaluate(self.potential, self.atoms)
        self.results = {
            "energy": result.energy,
            "free_energy": result.energy,
            "forces": result.forces,
        }
        if np.all(self.atoms.pbc):
            self.results["stress"] = result.stress(self.atoms)
