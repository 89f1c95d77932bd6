"""Run an exported file of the target ``native`` in libm3c."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from m3compress.contract.arrays import FloatArray, IntArray
from m3compress.contract.backends import Device
from m3compress.contract.manifest import MANIFEST_KEY, METADATA_KEY, Manifest
from m3compress.contract.tables import RawOutputs, TableInputs
from m3compress.engines.artefact import Artefact, check_same_model, read_manifest
from m3compress.engines.base import ClosePair, Memory, Precision
from m3compress.engines.native.cells import find_edges
from m3compress.engines.native.core import Core
from m3compress.engines.native.system import CoreSystem
from m3compress.errors import ArtefactError


class NativeEngine:
    """A native file in the C++ core.

    Args:
        artefact: From :func:`~m3compress.engines.artefact.load_artefact`.
        device: ``cpu``.
        threads: Threads of one run; None for all processors that this process may use.
        precision: Of the arithmetic.
        memory: What becomes of edge features; see :class:`~m3compress.engines.native.core.Core`.

    Raises:
        ArtefactError: If the file cannot be used, or its manifest was changed.
        MissingDependencyError: If the library was not built.
        ValueError: If ``threads`` is below 1.
    """

    def __init__(
        self,
        artefact: Artefact,
        *,
        device: Device = "cpu",
        threads: int | None = None,
        precision: Precision = "float32",
        memory: Memory = "auto",
    ) -> None:
        self._manifest = artefact.manifest
        self._device = device
        inside = read_manifest(manifest_in(artefact.path), f"the manifest in {artefact.path.name}")
        check_same_model(artefact.manifest, inside, artefact.path.name)
        self.core = Core(artefact.path, precision=precision, threads=threads, memory=memory)
        _check_weights_are_of(self.core, artefact.manifest, artefact.path.name)

    @property
    def manifest(self) -> Manifest:
        """The manifest beside the file."""
        return self._manifest

    @property
    def description(self) -> str:
        """Instruction set, precision and device."""
        return f"libm3c ({self.core.isa}, {self.core.precision}), {self._device}"

    def run(self, inputs: TableInputs) -> RawOutputs:
        """Evaluate.

        Raises:
            M3CompressError: If the core refuses the structure, or it does not fit into the memory.
        """
        holds = inputs.mask > 0
        result = self.core.evaluate(
            CoreSystem(
                species=inputs.species.astype(np.int32),
                begins=np.concatenate([[0], np.cumsum(holds.sum(axis=1))]).astype(np.int64),
                neighbors=inputs.neighbors[holds].astype(np.int32),
                vectors=inputs.edge_vectors[holds].astype(self.core.dtype),
            )
        )
        return RawOutputs(result.energies, result.forces, result.atom_virials)

    def run_structure(
        self, atoms: Atoms, species: IntArray, limits: FloatArray | None
    ) -> tuple[RawOutputs, ClosePair | None]:
        """Evaluate a structure whose edges the core finds; no tables, no skin.

        Raises:
            StructureError: If atoms coincide.
            M3CompressError: If the structure does not fit into the memory.
        """
        core = self.core
        found = find_edges(atoms, species, core.cutoff, core.precision, core.threads)
        pair = found.closest(limits)
        result = core.evaluate(found.system)
        of_atoms = (result.energies, result.forces, result.atom_virials)
        sorted_back = [np.empty_like(values) for values in of_atoms]
        for target, values in zip(sorted_back, of_atoms, strict=True):
            target[found.order] = values
        return RawOutputs(*sorted_back), pair


def manifest_in(path: Path) -> str:
    """The manifest inside a native file.

    Raises:
        ArtefactError: If there is none: the file is damaged, or no exported one.
    """
    try:
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            header: Any = json.loads(stream.read(min(size, path.stat().st_size)))
        description = json.loads(header["__metadata__"][METADATA_KEY])
        return json.dumps(description[MANIFEST_KEY])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(
            f"{path.name} holds no manifest, so it is damaged or no exported file",
            hint="make one with `m3compress export MODEL --to native`",
        ) from error


def _check_weights_are_of(core: Core, manifest: Manifest, name: str) -> None:
    """Compare what the core read with what the manifest says.

    Raises:
        ArtefactError: If they disagree.
    """
    for what, inside, said in (
        ("elements", core.elements, manifest.elements),
        ("energies of the elements", core.element_energies, manifest.element_energies),
        ("cutoff", core.cutoff, manifest.cutoff),
        ("number of blocks", core.n_blocks, manifest.n_blocks),
    ):
        if inside != said:
            raise ArtefactError(
                f"{name} and its manifest disagree on the {what}",
                hint="the file was edited; export the model again",
            )
