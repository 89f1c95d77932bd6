"""What the contract judges: an MD code with a model in it, or an evaluator without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from ase import Atoms, units

from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluation, Evaluator

#: What a code may give besides the energy and the forces.
Given = Literal["energies of atoms", "virial", "virials of atoms"]
#: What every runtime gives.
OF_RUNTIMES: Final[frozenset[Given]] = frozenset(
    {"energies of atoms", "virial", "virials of atoms"}
)


@dataclass(frozen=True, slots=True)
class Motion:
    """What a code's own molecular dynamics says of a run at constant energy.

    Attributes:
        times: In fs, shape (n_points,).
        energies: Potential and kinetic energy together in eV, shape (n_points,).
    """

    times: FloatArray
    energies: FloatArray


class Code(Protocol):
    """An MD code with a model in it, driven as its users drive it."""

    @property
    def title(self) -> str:
        """What reports call it: "OpenMM 8.6, Reference"."""

    @property
    def gives(self) -> frozenset[Given]:
        """What it gives besides energy and forces; NaN stands for the rest."""

    @property
    def refuses(self) -> frozenset[str]:
        """Names of :class:`~m3compress.engines.conformance.cells.Cell` that it documents it can't.

        Others that it refuses break the contract.
        """

    def evaluate(self, atoms: Atoms) -> Evaluation:
        """What the code gives, in eV and Å, in the order and orientation of ``atoms``.

        Raises:
            Exception: Whatever the user of the code meets.
        """

    def run(self, atoms: Atoms, *, timestep: float, n_steps: int) -> Motion:
        """Dynamics at constant energy from the positions and momenta of ``atoms``.

        Args:
            atoms: The start.
            timestep: In fs.
            n_steps: Steps.

        Raises:
            Exception: Whatever the user of the code meets.
        """


class Bare:
    """An evaluator without a code; velocity Verlet moves it.

    Args:
        evaluator: Such as an exported file in its runtime.
        title: What reports call it.
        gives: What it gives besides energy and forces.
        refuses: Names of cells that it documents it cannot do.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        title: str,
        *,
        gives: frozenset[Given] = OF_RUNTIMES,
        refuses: frozenset[str] = frozenset(),
    ) -> None:
        self._evaluator = evaluator
        self.title = title
        self.gives = gives
        self.refuses = refuses

    def evaluate(self, atoms: Atoms) -> Evaluation:
        """What the evaluator gives.

        Raises:
            StructureError: If the structure has no meaningful energy.
        """
        return self._evaluator.evaluate(atoms)

    def run(self, atoms: Atoms, *, timestep: float, n_steps: int) -> Motion:
        """Velocity Verlet.

        Raises:
            StructureError: If the structure has no meaningful energy, or comes to have none.
        """
        moving, masses = atoms.copy(), atoms.get_masses()[:, None]
        velocities, step = atoms.get_momenta() / masses, timestep * units.fs
        found = self.evaluate(moving)
        energies = [found.energy + _kinetic(masses, velocities)]
        for _ in range(n_steps):
            velocities = velocities + 0.5 * step * found.forces / masses
            moving.positions += step * velocities
            found = self.evaluate(moving)
            velocities = velocities + 0.5 * step * found.forces / masses
            energies.append(found.energy + _kinetic(masses, velocities))
        return Motion(timestep * np.arange(n_steps + 1, dtype=np.float64), np.array(energies))


def _kinetic(masses: FloatArray, velocities: FloatArray) -> float:
    return float(0.5 * (masses * velocities**2).sum())
