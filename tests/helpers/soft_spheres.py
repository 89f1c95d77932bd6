"""Lennard-Jones spheres that end smoothly, as ASE's own are, in a tenth of the time."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.stress import full_3x3_to_voigt_6_stress

from m3compress.contract.evaluation import Evaluation
from m3compress.contract.neighbors import find_edges

SIGMA, EPSILON, CUTOFF = 2.0, 0.3, 4.0  # Å, eV, Å
#: Where they begin to end, as a part of the cutoff.
ONSET = 0.66
#: How any process opens them, with their size.
SPEC = "ase:soft_spheres:SoftSpheres?sigma={}"


def evaluate(atoms: Atoms, sigma: float = SIGMA) -> Evaluation:
    """The same between all elements; what ``LennardJones(smooth=True)`` says, to rounding."""
    edges, vectors = find_edges(atoms, CUTOFF)
    r2 = np.square(vectors).sum(1)
    sixth = (sigma**2 / r2) ** 3
    value = 4 * EPSILON * (sixth**2 - sixth)
    slope = -24 * EPSILON * (2 * sixth**2 - sixth) / r2  # by r, divided by r
    end, begin = CUTOFF**2, (ONSET * CUTOFF) ** 2
    fading, width = r2 > begin, (end - begin) ** 3
    fade = np.where(fading, (end - r2) ** 2 * (end + 2 * r2 - 3 * begin) / width, 1.0)
    fade_slope = np.where(fading, 12 * (end - r2) * (begin - r2) / width, 0.0)
    pulls = 0.5 * (slope * fade + value * fade_slope)[:, None] * vectors
    energies = np.bincount(edges.centers, 0.5 * value * fade, minlength=len(atoms))
    forces = np.zeros((len(atoms), 3))
    np.add.at(forces, edges.centers, pulls)
    np.subtract.at(forces, edges.neighbors, pulls)
    return Evaluation(float(energies.sum()), energies, forces, vectors.T @ pulls)


class SoftSpheres(Calculator):
    """An ASE calculator, which a path of import names."""

    implemented_properties: ClassVar[list[str]] = ["energy", "energies", "forces", "stress"]

    def __init__(self, sigma: float = SIGMA) -> None:
        super().__init__()
        self.sigma = sigma

    def calculate(self, atoms=None, properties=("energy",), system_changes=("positions",)) -> None:
        super().calculate(atoms, properties, system_changes)
        found = evaluate(atoms, self.sigma)
        self.results = {"energy": found.energy, "energies": found.energies, "forces": found.forces}
        if atoms.pbc.all():
            stress = found.virial / atoms.get_volume()
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)
