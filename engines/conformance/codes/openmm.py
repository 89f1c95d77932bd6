"""OpenMM: a context on its reference platform, in double precision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import openmm
from ase import Atoms, units

from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluation, Evaluator
from m3compress.engines.codes.openmm import reduced, system
from m3compress.engines.conformance.code import Given, Motion
from m3compress.engines.evaluator import ArtefactEvaluator

_EVERY: Final = 5  # steps between two energies
# Not the constants of what is judged: two equal mistakes would cancel.
_NM: Final = 10.0  # Å
_KJ_PER_MOL: Final = float(units.kJ / units.mol)  # eV
_NM_PER_PS: Final = _NM / (1000.0 * units.fs)  # Å per ASE's unit of time


class OpenMMCode:
    """A model as the only force of a system.

    Args:
        evaluator: The model.
        platform: Of OpenMM.
    """

    #: The barostat asks for energies of scaled boxes, so that nobody asks for a virial.
    gives: frozenset[Given] = frozenset()
    refuses = frozenset({"slab, open"})

    def __init__(self, evaluator: Evaluator, platform: str = "Reference") -> None:
        self._evaluator = evaluator
        self._platform = openmm.Platform.getPlatformByName(platform)
        self.title = f"OpenMM {openmm.__version__}, {platform}"

    def evaluate(self, atoms: Atoms) -> Evaluation:
        """Energy and forces of a state, turned back.

        Raises:
            openmm.OpenMMException: With our message, if the structure has no meaningful energy.
            StructureError: If OpenMM cannot have it.
        """
        turned, rotation = reduced(atoms)
        state = self._context(turned, 1.0).getState(getEnergy=True, getForces=True)
        kilojoule = openmm.unit.kilojoule_per_mole
        energy = state.getPotentialEnergy().value_in_unit(kilojoule) * _KJ_PER_MOL
        forces = state.getForces(asNumpy=True).value_in_unit(kilojoule / openmm.unit.nanometer)
        n_atoms = len(atoms)
        found = Evaluation(energy, np.full(n_atoms, np.nan), forces, np.full((3, 3), np.nan))
        return replace(found, forces=np.asarray(forces) * (_KJ_PER_MOL / _NM) @ rotation)

    def run(self, atoms: Atoms, *, timestep: float, n_steps: int) -> Motion:
        """Leapfrog of OpenMM.

        Raises:
            openmm.OpenMMException: With our message, if an atom gets lost.
        """
        turned, _ = reduced(atoms)
        context = self._context(turned, timestep)
        context.setVelocities(turned.get_velocities() / _NM_PER_PS)
        energies = [_total_energy(context)]
        for _ in range(n_steps // _EVERY):
            context.getIntegrator().step(_EVERY)
            energies.append(_total_energy(context))
        times: FloatArray = timestep * _EVERY * np.arange(len(energies), dtype=np.float64)
        return Motion(times, np.array(energies))

    def _context(self, atoms: Atoms, timestep: float) -> Any:
        integrator = openmm.VerletIntegrator(timestep / 1000.0)
        context = openmm.Context(system(self._evaluator, atoms), integrator, self._platform)
        context.setPositions(atoms.positions / _NM)
        return context


def _total_energy(context: Any) -> float:
    state = context.getState(getEnergy=True)
    energy = state.getPotentialEnergy() + state.getKineticEnergy()
    return float(energy.value_in_unit(openmm.unit.kilojoule_per_mole)) * _KJ_PER_MOL


def open_openmm(path: Path, threads: int | None) -> OpenMMCode:
    """OpenMM with an exported file.

    Raises:
        ArtefactError: If the file cannot be opened.
    """
    return OpenMMCode(ArtefactEvaluator(path, threads=threads))
