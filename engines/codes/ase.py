"""The ASE calculator: of any evaluator, and of an exported file, with numpy alone."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator as AseCalculator
from ase.calculators.calculator import PropertyNotImplementedError, all_changes

from m3compress.contract.backends import Device
from m3compress.contract.evaluation import Evaluation, Evaluator
from m3compress.contract.manifest import Manifest
from m3compress.engines.base import Engine, Memory, Precision
from m3compress.engines.evaluator import ArtefactEvaluator
from m3compress.engines.overlap import OnOverlap
from m3compress.engines.tables.verlet import VerletTable
from m3compress.errors import StructureError


class EvaluatorCalculator(AseCalculator):
    """Energies (eV), forces (eV/Å) and stresses (eV/Å³) of an evaluator: an engine, or a model.

    Args:
        evaluator: What to ask.

    ``energies`` are those of the atoms; a constant per structure is in ``energy`` only.
    ``stresses`` sum to the stress, of evaluators that know the virials of atoms. Structures
    that have no meaningful energy raise :class:`~m3compress.errors.StructureError`.

    Threads may share a calculator, and each gets the numbers of its own structure: ASE keeps the
    results of one structure, so that only one thread at a time is between asking and getting. For
    speed give every thread a calculator of its own.
    """

    # ASE declares both as instance variables, so they cannot be ClassVar here.
    implemented_properties: list[str] = [  # noqa: RUF012
        "energy",
        "free_energy",
        "energies",
        "forces",
        "stress",
        "stresses",
    ]
    #: A change of these does not change the energy.
    ignored_changes: set[str] = {"initial_charges", "initial_magmoms"}  # noqa: RUF012

    def __init__(self, evaluator: Evaluator) -> None:
        super().__init__()
        self.evaluator = evaluator
        self._last: tuple[Atoms, Evaluation] | None = None
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def get_property(
        self,
        name: str,
        atoms: Atoms | None = None,
        allow_calculation: bool = True,  # noqa: FBT001, FBT002 (as ASE calls it)
    ) -> Any:
        """One property of a structure, from ASE's cache where nothing has changed.

        Raises:
            StructureError: If the structure has no meaningful energy.
            PropertyNotImplementedError: If it is not one of :attr:`implemented_properties`.
        """
        with self._lock:
            return super().get_property(name, atoms, allow_calculation)

    def calculate_properties(self, atoms: Atoms, properties: Sequence[str]) -> Any:
        """Several properties of a structure at once, as ``atoms.get_properties`` asks for them.

        Raises:
            StructureError: If the structure has no meaningful energy.
            PropertyNotImplementedError: If one is not among :attr:`implemented_properties`.
        """
        with self._lock:
            return super().calculate_properties(atoms, properties)

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
        if {"stress", "stresses"} & set(properties) and not structure.pbc.all():
            raise PropertyNotImplementedError(
                "stress is ∂E/∂strain / volume, which needs a cell periodic in all directions, "
                f"got pbc={structure.pbc.tolist()}"
            )
        result = self._evaluated(structure, again=bool(system_changes))
        self.results = {
            "energy": result.energy,
            "free_energy": result.energy,
            "energies": result.energies,
            "forces": result.forces,
        }
        if structure.pbc.all():
            self.results["stress"] = result.stress(structure)
        # Only where they are asked for: trajectory files hold all results of every frame.
        stresses = result.stresses(structure) if "stresses" in properties else None
        if stresses is not None:
            self.results["stresses"] = stresses

    def _evaluated(self, structure: Atoms, *, again: bool) -> Evaluation:
        """What is known of the structure of the last evaluation, or another evaluation."""
        known, self._last = self._last, None  # what fails leaves nothing of the structure before
        if again or known is None or known[0] != structure:
            known = structure, self.evaluate(structure)
        self._last = known
        return known[1]

    def evaluate(self, atoms: Atoms) -> Evaluation:
        """Energy, forces and virial, past ASE's cache.

        Raises:
            StructureError: If the structure has no meaningful energy.
        """
        return self.evaluator.evaluate(atoms)


class Calculator(EvaluatorCalculator):
    """The calculator of an exported model; see :class:`EvaluatorCalculator`.

    The network is evaluated in float32 (sums over atoms in float64): in quartz, the energy of 16 to
    72 atoms carries noise of 10⁻⁷ to 10⁻⁶ eV, and forces of 10⁻⁶ eV/Å. Simulations do not notice;
    numerical derivatives do: differences of energies 10⁻⁵ Å apart miss the forces by 10⁻² eV/Å,
    10⁻³ Å apart by 10⁻⁴. Displace by at least 10⁻³ Å, strain by at least 10⁻³, and differentiate
    forces rather than energies where there is a choice (``ase.vibrations``, phonopy).

    ``copy.deepcopy``, ``pickle`` and spawned processes get a calculator that opens its file again,
    with the arguments given here; a file that has changed meanwhile is refused.

    Args:
        artefact: A ``.m3c.onnx``, a ``.m3c.safetensors``, a ``.plan`` or their ``.m3c.json``; ``~``
            is the home folder.
        device: ``cpu`` or ``cuda``.
        threads: Threads of one evaluation on the CPU; None for all physical cores.
        skin: Extra radius of the neighbour search in Å; see ``engines/tables/verlet.py``.
        on_overlap: What happens when two atoms come closer than any of their elements in the
            training domain, as far as the manifest knows it (``shortest_distances``): ``warn``,
            once for a calculator, with an :class:`~m3compress.errors.OverlapWarning`; ``raise`` an
            :class:`~m3compress.errors.OverlapError`; or ``ignore``. Where the manifest knows
            nothing of a pair of elements, nothing is said about it.
        precision: ``float32`` or ``float64``, of native files only.
        memory: ``auto``, ``keep`` or ``recompute``, of native files only; see ``docs/native.md``.

    Raises:
        ArtefactError: If the file is damaged, of another schema version, or not one of ours.
        MissingDependencyError: If its runtime or the device is missing.
        UnknownNameError: If ``on_overlap``, ``precision`` or ``memory`` is none of those.
    """

    evaluator: ArtefactEvaluator

    def __init__(
        self,
        artefact: str | Path,
        *,
        device: Device = "cpu",
        threads: int | None = None,
        skin: float = 0.5,
        on_overlap: OnOverlap = "warn",
        precision: Precision | None = None,
        memory: Memory | None = None,
    ) -> None:
        super().__init__(
            ArtefactEvaluator(
                artefact,
                device=device,
                threads=threads,
                skin=skin,
                on_overlap=on_overlap,
                precision=precision,
                memory=memory,
            )
        )

    @property
    def manifest(self) -> Manifest:
        """What the loaded file is."""
        return self.evaluator.manifest

    @property
    def engine(self) -> Engine:
        """What runs it."""
        return self.evaluator.engine

    @property
    def table(self) -> VerletTable:
        """Neighbours of the structure that was evaluated last."""
        return self.evaluator.table
