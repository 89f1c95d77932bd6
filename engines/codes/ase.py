"""The ASE calculator: any exported file, with numpy alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from ase import Atoms
from ase.calculators.calculator import Calculator as AseCalculator
from ase.calculators.calculator import PropertyNotImplementedError, all_changes

from m3compress.contract.evaluation import Evaluation
from m3compress.contract.manifest import Manifest
from m3compress.engines.base import complete
from m3compress.engines.open import load_engine
from m3compress.engines.runtimes.onnxruntime import Device
from m3compress.engines.tables.verlet import VerletTable, species_of
from m3compress.errors import StructureError

logger = logging.getLogger("m3compress.engines")


class Calculator(AseCalculator):
    """Energies (eV), forces (eV/Å) and stresses (eV/Å³) of an exported model.

    Args:
        artefact: A ``.m3c.onnx``, a ``.plan`` or their ``.m3c.json``.
        device: ``cpu`` or ``cuda``.
        threads: Threads of one evaluation on the CPU; None for all physical cores.
        skin: Extra radius of the neighbour search in Å; see ``engines/tables/verlet.py``.

    Raises:
        ArtefactError: If the file is damaged, of another schema version, or not one of ours.
        MissingDependencyError: If its runtime or the device is missing.

    ``energies`` are those of the atoms; a constant per structure is in ``energy`` only. Structures
    that have no meaningful energy raise :class:`~m3compress.errors.StructureError`.
    """

    # ASE declares both as instance variables, so they cannot be ClassVar here.
    implemented_properties: list[str] = [  # noqa: RUF012
        "energy",
        "free_energy",
        "energies",
        "forces",
        "stress",
    ]
    #: A change of these does not change the energy.
    ignored_changes: set[str] = {"initial_charges", "initial_magmoms"}  # noqa: RUF012

    def __init__(
        self,
        artefact: str | Path,
        *,
        device: Device = "cpu",
        threads: int | None = None,
        skin: float = 0.5,
    ) -> None:
        super().__init__()
        self.engine = load_engine(artefact, device=device, threads=threads)
        self.table = VerletTable(self.manifest.cutoff, skin)
        _report_status(self.manifest, Path(artefact).name)

    @property
    def manifest(self) -> Manifest:
        """What the loaded file is."""
        return self.engine.manifest

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Called by ASE when a property of a changed structure is asked for.

        Raises:
            StructureError: If the structure has no meaningful energy.
            PropertyNotImplementedError: If a stress is asked for that does not exist.
        """
        super().calculate(atoms, list(properties), list(system_changes))
        structure = self.atoms
        if structure is None:
            raise StructureError("no structure was given", hint="set atoms.calc, then ask atoms")
        if "stress" in properties and not structure.pbc.all():
            raise PropertyNotImplementedError(
                "stress is ∂E/∂strain / volume, which needs a cell periodic in all directions, "
                f"got pbc={structure.pbc.tolist()}"
            )
        result = self.evaluate(structure)
        self.results = {
            "energy": result.energy,
            "free_energy": result.energy,
            "energies": result.energies,
            "forces": result.forces,
        }
        if structure.pbc.all():
            self.results["stress"] = result.stress(structure)

    def evaluate(self, atoms: Atoms) -> Evaluation:
        """Energy, forces and virial, past ASE's cache.

        Raises:
            StructureError: If the structure has no meaningful energy.
        """
        species = species_of(atoms, self.manifest.elements)
        inputs = self.table.update(atoms, species)
        return complete(self.manifest, species, self.engine.run(inputs))


def _report_status(manifest: Manifest, name: str) -> None:
    method = manifest.three_body
    if method.study_only:
        logger.warning(
            "%s is for study only (three-body block %s): its energy is not smooth",
            name,
            method.method,
        )
    if manifest.gate.status == "unvalidated":
        logger.info("%s has not passed the release gate (`m3compress validate`)", name)
