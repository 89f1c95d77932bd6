"""What every engine takes and gives: padded tables in, energies, forces and virial out.

An exported graph computes the network in float32. What is large or summed over atoms (element
energies, the total energy) is added here in float64: float32 sums of −10⁴ eV lose 10⁻² eV, which
would hide any drift of the energy in molecular dynamics. So are the virials of the atoms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol, runtime_checkable

import numpy as np
from ase import Atoms

from m3compress.contract.arrays import FloatArray, IntArray
from m3compress.contract.backends import Device
from m3compress.contract.evaluation import Evaluation
from m3compress.contract.manifest import Manifest
from m3compress.contract.tables import RawOutputs, TableInputs
from m3compress.engines.artefact import Artefact
from m3compress.errors import StructureError

#: Of the arithmetic of an engine that has a choice.
Precision = Literal["float32", "float64"]
#: What such an engine does with the features of edges: keep them, compute them again, or what fits.
Memory = Literal["auto", "keep", "recompute"]

_OF_ATOMS: Final = 3  # dimensions of virials of atoms
_HINT: Final = "look for overlapping atoms: this is far from anything the model was trained on"


class Engine(Protocol):
    """A loaded artefact that can be run."""

    @property
    def description(self) -> str:
        """What runs it, with its version and where: "ONNX Runtime 1.20.1, cpu"."""

    @property
    def manifest(self) -> Manifest:
        """What the loaded file is."""

    def run(self, inputs: TableInputs) -> RawOutputs:
        """Evaluate the graph.

        Raises:
            M3CompressError: If the runtime fails, for instance for lack of memory.
        """


@dataclass(frozen=True, slots=True)
class ClosePair:
    """Two atoms, and how close they are.

    Attributes:
        first: Its number.
        second: That of the other.
        distance: In Å.
        ratio: Of the squared distance to the squared limit of their elements.
    """

    first: int
    second: int
    distance: float
    ratio: float


@runtime_checkable
class FindsEdges(Protocol):
    """An engine that needs no tables: it finds the edges of a structure for itself."""

    def run_structure(
        self, atoms: Atoms, species: IntArray, limits: FloatArray | None
    ) -> tuple[RawOutputs, ClosePair | None]:
        """Evaluate a structure.

        Args:
            atoms: A structure that :func:`~m3compress.contract.neighbors.check_structure` accepts.
            species: Position of every atom's element in the manifest, shape (n_atoms,).
            limits: Shortest distances by elements in Å, 0 for any; None where nobody asks.

        Returns:
            The outputs, and the pair that is closest by its limit, if one has a limit.

        Raises:
            M3CompressError: If the runtime fails.
        """


class OpensArtefact(Protocol):
    """What the ``engine`` of a row of the table of backends names."""

    def __call__(
        self, artefact: Artefact, *, device: Device, threads: int | None, **options: str
    ) -> Engine:
        """Load a file that has passed all checks that need no runtime.

        Args:
            artefact: The file and its manifest.
            device: One of the backend's devices.
            threads: Threads of one run on the CPU; None for all physical cores.
            **options: Those of the backend's ``options`` that the caller has chosen.

        Raises:
            ArtefactError: If the runtime refuses the file.
            MissingDependencyError: If the runtime or the device is missing.
        """


def complete(manifest: Manifest, species: IntArray, outputs: RawOutputs) -> Evaluation:
    """Turn what a graph gives into energies, forces and virial of the potential.

    Args:
        manifest: The manifest of the graph.
        species: The ``species`` input of the run, shape (n_atoms,).
        outputs: What the run gave.

    Raises:
        StructureError: If an output is not finite; the first such atom is named.
    """
    _refuse_not_finite(manifest, species, outputs)
    references = np.asarray(manifest.element_energies, dtype=np.float64)
    energies = outputs.energies.astype(np.float64) + references[species]
    parts = np.asarray(outputs.virial, dtype=np.float64).reshape(-1, 3, 3)
    virial = parts.sum(axis=0)
    if not np.isfinite(virial).all():
        raise StructureError(f"the virial is not finite: {virial.tolist()}", hint=_HINT)
    return Evaluation(
        energy=float(energies.sum() + manifest.energy_offset),
        energies=energies,
        forces=outputs.forces.astype(np.float64),
        virial=virial,
        virials=parts if outputs.virial.ndim == _OF_ATOMS else None,
    )


def _refuse_not_finite(manifest: Manifest, species: IntArray, outputs: RawOutputs) -> None:
    finite = np.isfinite(outputs.energies) & np.isfinite(outputs.forces).all(axis=1)
    if not finite.all():
        atom = int(np.flatnonzero(~finite)[0])
        symbol = manifest.elements[species[atom]]
        raise StructureError(
            f"atom {atom} ({symbol}, counting from 0) gets energy {outputs.energies[atom]} and "
            f"force {outputs.forces[atom].tolist()}, expected finite numbers",
            hint=_HINT,
        )
