"""What the native core is given and what it gives, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from m3compress.contract.arrays import FloatArray, FloatingArray, IntArray

Index32 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class CoreSystem:
    """Atoms and edges as the core reads them, in the order of the atoms.

    Attributes:
        species: Position in the elements of the model, shape (n_rows,); ghosts behind the atoms.
        begins: Edges of atom i are begins[i] … begins[i + 1] − 1, shape (n_owned + 1,).
        neighbors: Row at the end of every edge, shape (n_edges,).
        vectors: r_ij in Å, in the precision of the core, shape (n_edges, 3).
    """

    species: Index32
    begins: IntArray
    neighbors: Index32
    vectors: FloatingArray

    @property
    def n_owned(self) -> int:
        """Atoms that have edges and an energy."""
        return len(self.begins) - 1


@dataclass(frozen=True, slots=True)
class CoreResult:
    """What the core computes; energies without those of the elements.

    Attributes:
        energies: Network energy of every owned atom in eV, shape (n_owned,).
        forces: In eV/Å, shape (n_rows, 3); those on ghosts belong to their owners.
        virial: ∂E/∂strain in eV, shape (3, 3).
        atom_virials: Its parts by the centres of the edges, shape (n_owned, 3, 3).
    """

    energies: FloatArray
    forces: FloatArray
    virial: FloatArray
    atom_virials: FloatArray

    @classmethod
    def empty(cls, system: CoreSystem, *, atom_virials: bool = True) -> Self:
        """Arrays of the right shapes for a system."""
        n_owned, n_rows = system.n_owned, len(system.species)
        return cls(
            energies=np.zeros(n_owned),
            forces=np.zeros((n_rows, 3)),
            virial=np.zeros((3, 3)),
            atom_virials=np.zeros((n_owned if atom_virials else 0, 3, 3)),
        )
