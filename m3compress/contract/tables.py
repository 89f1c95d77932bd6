"""What an engine takes and gives: padded tables in, energies, forces and virial out.

Graphs take and give float32; an engine that computes in float64 is given float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from m3compress.contract.arrays import Float32Array, FloatingArray, IntArray
from m3compress.contract.manifest import INPUT_NAMES


@dataclass(frozen=True, slots=True)
class TableInputs:
    """One structure in the form that exported graphs read (``contract/neighbors.py``).

    Attributes:
        species: Position of every atom's element in the manifest, shape (n_atoms,).
        neighbors: Neighbour in every slot, shape (n_atoms, K); 0 in padded slots.
        mask: 1 where a slot holds an edge, else 0, shape (n_atoms, K).
        edge_vectors: r_ij in Å, shape (n_atoms, K, 3); 0 in padded slots.
        incoming: Flat slots (center · K + slot) that point at every atom, shape (n_atoms, K_in).
        incoming_mask: 1 where ``incoming`` holds a slot, else 0, shape (n_atoms, K_in).
    """

    species: IntArray
    neighbors: IntArray
    mask: Float32Array
    edge_vectors: FloatingArray
    incoming: IntArray
    incoming_mask: Float32Array

    def feed(self) -> dict[str, npt.NDArray[np.generic]]:
        """The arrays by the names of :data:`INPUT_NAMES`."""
        return {name: getattr(self, name) for name in INPUT_NAMES}


@dataclass(frozen=True, slots=True)
class RawOutputs:
    """What the graph computes, without element energies.

    Attributes:
        energies: Network energy of every atom in eV, shape (n_atoms,).
        forces: In eV/Å, shape (n_atoms, 3).
        virial: What the edges of every atom add to ∂E/∂strain in eV, shape (n_atoms, 3, 3); or its
            sum, shape (3, 3), where the engine gives no more.
    """

    energies: FloatingArray
    forces: FloatingArray
    virial: FloatingArray
