"""What a potential says about one structure, whoever evaluates it; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from ase import Atoms

from m3compress.contract.arrays import FloatArray
from m3compress.units import VOIGT


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Energy and derivatives of one structure.

    Attributes:
        energy: Total energy in eV, Σ ``energies`` + a constant of the model.
        energies: Energy of every atom in eV, shape (n_atoms,).
        forces: In eV/Å, shape (n_atoms, 3).
        virial: ∂E/∂strain in eV, shape (3, 3); the stress is virial / volume.
        virials: What the edges that start from every atom add to it, in eV, shape (n_atoms, 3, 3);
            None where only the sum is known.
    """

    energy: float
    energies: FloatArray
    forces: FloatArray
    virial: FloatArray
    virials: FloatArray | None = None

    def stress(self, atoms: Atoms) -> FloatArray:
        """(1/V) ∂E/∂strain in eV/Å³, Voigt order xx, yy, zz, yz, xz, xy, shape (6,).

        Args:
            atoms: The structure, which has a volume.
        """
        return np.asarray(_voigt(self.virial) / atoms.get_volume())

    def stresses(self, atoms: Atoms) -> FloatArray | None:
        """Parts of the stress by atom, which sum to it, as ASE wants them, shape (n_atoms, 6).

        Args:
            atoms: The structure, which has a volume.

        Returns:
            In eV/Å³, in Voigt order; None where the virials of atoms are not known.
        """
        if self.virials is None:
            return None
        return np.asarray(_voigt(self.virials) / atoms.get_volume())

    def repeated(self, times: int) -> Evaluation:
        """What a cell that ASE repeated must give, from that of the cell.

        Args:
            times: Cells in the repeated one.
        """
        # A constant of the model counts once per structure, not once per cell.
        constant = self.energy - float(self.energies.sum())
        return Evaluation(
            energy=times * (self.energy - constant) + constant,
            energies=np.tile(self.energies, times),
            forces=np.tile(self.forces, (times, 1)),
            virial=times * self.virial,
            virials=None if self.virials is None else np.tile(self.virials, (times, 1, 1)),
        )


def _voigt(tensors: FloatArray) -> FloatArray:
    """Symmetric parts in Voigt order, shape (..., 6)."""
    symmetric = (tensors + np.swapaxes(tensors, -1, -2)) / 2
    return np.stack([symmetric[..., row, column] for row, column in VOIGT], axis=-1)


class Evaluator(Protocol):
    """Something that gives energies, forces and virial of a structure: an engine, or a model."""

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols it knows."""

    @property
    def cutoff(self) -> float:
        """Cutoff of the edges in Å."""

    def evaluate(self, atoms: Atoms) -> Evaluation:
        """Energy (eV), energies of the atoms, forces (eV/Å) and virial (eV).

        Raises:
            StructureError: If the structure has no meaningful energy.
        """


class EvaluatorSpec(Protocol):
    """A small value that any process opens for itself: frozen, hashable and picklable."""

    def __hash__(self) -> int:
        """Specs of the same evaluator on as many threads are equal: it is opened once."""

    def open(self) -> Evaluator:
        """Load it.

        Raises:
            M3CompressError: If it cannot be opened.
        """

    def with_threads(self, threads: int) -> Self:
        """The same on so many threads."""

    def to_json(self) -> dict[str, Any]:
        """Plain values from which whoever knows its kind makes it again, but for the threads."""

    def identity(self) -> dict[str, Any]:
        """Plain values that decide its numbers.

        A file counts by its content, not by where it is; names and threads don't count.

        Raises:
            M3CompressError: If a file cannot be read.
        """
