"""An exported file, opened: structures in, energies, forces and virial out, whatever the runtime.

This is what the adapters of :mod:`m3compress.engines.codes` stand on; they add units and signs.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from m3compress.contract.backends import Device, backend_named
from m3compress.contract.evaluation import Evaluation
from m3compress.contract.files import expanded
from m3compress.contract.manifest import Manifest
from m3compress.contract.neighbors import check_structure
from m3compress.contract.tables import TableInputs
from m3compress.engines.artefact import load_artefact
from m3compress.engines.base import FindsEdges, Memory, Precision, complete
from m3compress.engines.batch import batch_inputs, run_batch
from m3compress.engines.open import load_engine
from m3compress.engines.overlap import OnOverlap, OverlapGuard
from m3compress.engines.tables.verlet import VerletTable, species_of
from m3compress.errors import ArtefactError

logger = logging.getLogger("m3compress.engines")


@dataclass(frozen=True, slots=True)
class _Opened:
    """What a file was opened with: enough to open it again, here or in another process.

    Attributes:
        path: Absolute, so that another working folder does not matter.
        device: Where it runs.
        threads: Threads of one evaluation on the CPU; None for all physical cores.
        skin: Extra radius of the neighbour search in Å.
        on_overlap: What happens when atoms are closer than any in the training domain.
        precision: Of the arithmetic, where the engine has a choice.
        memory: How the engine trades time for memory, where it can.
    """

    path: Path
    device: Device
    threads: int | None
    skin: float
    on_overlap: OnOverlap
    precision: Precision | None
    memory: Memory | None


class ArtefactEvaluator:
    """An exported file in its engine, with the neighbour table of the structure it saw last.

    Copies and pickles hold no weights: they open the file again as it was opened, and refuse it if
    it is another one by then. Threads may share an evaluator; they wait for each other.

    Args:
        artefact: A ``.m3c.onnx``, a ``.plan`` or their ``.m3c.json``.
        device: ``cpu`` or ``cuda``.
        threads: Threads of one evaluation on the CPU; None for all physical cores.
        skin: Extra radius of the neighbour search in Å; see ``engines/tables/verlet.py``.
        on_overlap: What happens when atoms are closer than any in the training domain; see
            :mod:`m3compress.engines.overlap`.
        precision: ``float32`` or ``float64``, of native files only.
        memory: ``auto``, ``keep`` or ``recompute``, of native files only; see ``docs/native.md``.

    Raises:
        ArtefactError: If the file is damaged, of another schema version, or not one of ours.
        MissingDependencyError: If its runtime or the device is missing.
        UnknownNameError: If ``on_overlap``, ``precision`` or ``memory`` is none of those there are.
    """

    def __init__(
        self,
        artefact: str | Path,
        *,
        device: Device = "cpu",
        threads: int | None = None,
        skin: float = 0.5,
        on_overlap: OnOverlap = "ignore",
        precision: Precision | None = None,
        memory: Memory | None = None,
    ) -> None:
        path = expanded(artefact).absolute()
        self._open(_Opened(path, device, threads, skin, on_overlap, precision, memory))
        report_status(self.manifest, Path(artefact).name)

    def _open(self, opened: _Opened) -> None:
        self._opened = opened
        self._lock = threading.Lock()
        self.engine = load_engine(
            opened.path,
            device=opened.device,
            threads=opened.threads,
            precision=opened.precision,
            memory=opened.memory,
        )
        self.table = VerletTable(self.cutoff, opened.skin, dtype=opened.precision or "float32")
        self._guard = OverlapGuard(self.manifest, opened.on_overlap)

    def __getstate__(self) -> dict[str, Any]:
        return {"opened": self._opened, "sha256": self.manifest.artefact_sha256}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the file again.

        Raises:
            ArtefactError: If it is missing, damaged, or not the file that was opened.
            MissingDependencyError: If its runtime or the device is missing.
        """
        self._open(state["opened"])
        found, expected = self.manifest.artefact_sha256, state["sha256"]
        if found != expected:
            raise ArtefactError(
                f"{self._opened.path} has changed since it was opened: "
                f"sha256 {str(found)[:12]}…, expected {str(expected)[:12]}…",
                hint="open the new file with a new Calculator, or put the old one back",
            )

    @property
    def manifest(self) -> Manifest:
        """What the loaded file is."""
        return self.engine.manifest

    @property
    def description(self) -> str:
        """What runs it, with its version and where."""
        return self.engine.description

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols it knows."""
        return self.manifest.elements

    @property
    def cutoff(self) -> float:
        """Cutoff of the edges in Å."""
        return self.manifest.cutoff

    def evaluate(self, atoms: Atoms) -> Evaluation:
        """Energy (eV), energies of the atoms, forces (eV/Å) and virial (eV).

        ``energies`` are those of the atoms; a constant per structure is in ``energy`` only.

        Raises:
            StructureError: If the structure has no meaningful energy.
            OverlapError: If atoms are too close, and that is to be an error.
        """
        with self._lock:  # the table is that of one structure at a time
            if isinstance(self.engine, FindsEdges):
                return self._evaluate_directly(self.engine, atoms)
            inputs = self.inputs(atoms)
            self._guard.check(inputs)
            return self.run(inputs)

    def evaluate_all(self, structures: Sequence[Atoms]) -> list[Evaluation]:
        """Several structures, in one evaluation where the file gives virials of single atoms.

        Args:
            structures: Of any sizes.

        Raises:
            StructureError: If one of them has no meaningful energy.
            OverlapError: If atoms are too close, and that is to be an error.
        """
        if len(structures) < 2 or not self.manifest.has_atom_virials:
            return [self.evaluate(atoms) for atoms in structures]
        dtype = self._opened.precision or "float32"
        inputs, begins = batch_inputs(structures, self.manifest, dtype)
        self._guard.check(inputs)
        return run_batch(self.engine, inputs, begins)

    def _evaluate_directly(self, engine: FindsEdges, atoms: Atoms) -> Evaluation:
        check_structure(atoms)
        species = species_of(atoms, self.elements)
        outputs, closest = engine.run_structure(atoms, species, self._guard.limits)
        if closest is not None:
            self._guard.judge(species, closest)
        return complete(self.manifest, species, outputs)

    def inputs(self, atoms: Atoms) -> TableInputs:
        """What the graph is given for a structure.

        Raises:
            StructureError: If the structure has no meaningful energy.
        """
        return self.table.update(atoms, species_of(atoms, self.elements))

    def run(self, inputs: TableInputs) -> Evaluation:
        """What :meth:`evaluate` makes of such inputs.

        Raises:
            StructureError: If an output is not finite.
        """
        return complete(self.manifest, inputs.species, self.engine.run(inputs))


def open_where_it_runs(artefact: Path) -> ArtefactEvaluator:
    """Open an exported file on the device that its engine prefers.

    Raises:
        ArtefactError: If the file is damaged, of another schema version, or not one of ours.
        MissingDependencyError: If its runtime or that device is missing.
    """
    backend = backend_named(load_artefact(artefact).manifest.backend)
    return ArtefactEvaluator(artefact, device=backend.devices[0])


def report_status(manifest: Manifest, name: str) -> None:
    """Log what the user of a file should know of it.

    Args:
        manifest: What the file says of itself.
        name: What to call it.
    """
    method = manifest.three_body
    if method.study_only:
        logger.warning(
            "%s is for study only (three-body block %s): its energy is not smooth",
            name,
            method.method,
        )
    if manifest.gate.status == "unvalidated":
        logger.info("%s has not passed the release gate (`m3compress validate`)", name)
