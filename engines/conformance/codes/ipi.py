"""i-PI in this process: a simulation whose force field is the driver, by ``<ffdirect>``."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import ase.io
import numpy as np
from ase import Atoms
from ipi.scripting import InteractiveSimulation, simulation_xml
from ipi.utils.units import unit_to_user

from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluation
from m3compress.engines.codes.ipi_driver import ffdirect
from m3compress.engines.conformance.code import Given, Motion

_EVERY: Final = 5  # steps between two energies
_ENERGY: Final = float(unit_to_user("energy", "ase", 1.0))
_FORCE: Final = float(unit_to_user("force", "ase", 1.0))
_STEP: Final = """
<motion mode='dynamics'><fixcom>False</fixcom>
<dynamics mode='nve'><timestep units='femtosecond'>{timestep}</timestep></dynamics></motion>"""
#: i-PI has a cell always; what is not periodic takes the directions from the template.
_LARGE: Final = 100.0  # Å


class IPICode:
    """i-PI with a driver of an exported file.

    Args:
        model: The file.
        threads: CPU threads of one evaluation.
    """

    gives: frozenset[Given] = frozenset({"virial"})
    refuses: frozenset[str] = frozenset()

    def __init__(self, model: Path, threads: int | None) -> None:
        self._model = model.absolute()
        self._threads = threads
        self._folder = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._simulations: dict[tuple[bytes, bytes], Any] = {}
        self.title = f"i-PI {version('ipi')}, ffdirect"

    def evaluate(self, atoms: Atoms) -> Evaluation:
        """Potential, forces and virial of a system, turned back.

        Raises:
            StructureError: If it has no meaningful energy.
        """
        turned, rotation = _in_standard_form(atoms)
        simulation = self._simulation_of(turned)
        simulation.set_structures(turned)
        forces = simulation.syslist[0].forces
        on_atoms = np.array(forces.f[0]).reshape(-1, 3) * _FORCE
        upper = np.triu(np.array(forces.virs[0])) * -_ENERGY  # all that i-PI keeps
        virial = upper + np.triu(upper, 1).T
        return Evaluation(
            float(forces.pots[0]) * _ENERGY,
            np.full(len(atoms), np.nan),
            on_atoms @ rotation,
            rotation.T @ virial @ rotation,
        )

    def run(self, atoms: Atoms, *, timestep: float, n_steps: int) -> Motion:
        """Velocity Verlet of i-PI.

        Raises:
            StructureError: If an atom gets lost.
        """
        turned, _ = _in_standard_form(atoms)
        simulation = self._make(turned, timestep)
        simulation.set_structures(turned)
        energies = [_total_energy(simulation)]
        for _ in range(n_steps // _EVERY):
            simulation.run(_EVERY, write_outputs=False)
            energies.append(_total_energy(simulation))
        times = timestep * _EVERY * np.arange(len(energies), dtype=np.float64)
        return Motion(times, np.array(energies))

    def _simulation_of(self, atoms: Atoms) -> Any:
        """A simulation of such atoms, in any places; the driver knows elements and directions."""
        key = (atoms.numbers.tobytes(), atoms.pbc.tobytes())
        if key not in self._simulations:
            self._simulations[key] = self._make(atoms, 1.0)
        return self._simulations[key]

    def _make(self, atoms: Atoms, timestep: float) -> Any:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        template = folder / "template.extxyz"
        plain = Atoms(atoms.numbers, np.zeros((len(atoms), 3)), cell=atoms.cell, pbc=atoms.pbc)
        ase.io.write(template, plain)
        text = simulation_xml(
            atoms,
            ffdirect(self._model, template, threads=self._threads),
            _STEP.format(timestep=timestep),
            output=f"<output prefix='{folder / 'run'}'></output>",
        )
        simulation = InteractiveSimulation(text)
        simulation.chk.filename = str(folder / "RESTART")  # not where the user is
        return simulation


def _in_standard_form(atoms: Atoms) -> tuple[Atoms, FloatArray]:
    """Turned, so that the cell is a triangle; with the matrix Q that turned it, v to v Qᵀ."""
    turned = atoms.copy()
    if not atoms.pbc.any():
        turned.set_cell(_LARGE * np.eye(3))
        return turned, np.eye(3)
    cell, rotation = atoms.cell.complete().standard_form()
    turned.set_cell(cell)
    turned.positions = atoms.positions @ rotation.T
    turned.set_momenta(atoms.get_momenta() @ rotation.T)
    return turned, np.asarray(rotation, dtype=np.float64)


def _total_energy(simulation: Any) -> float:
    return float(simulation.properties("potential") + simulation.properties("kinetic_md"))


def open_ipi(path: Path, threads: int | None) -> IPICode:
    """i-PI with an exported file.

    Raises:
        ArtefactError: If the file cannot be opened.
    """
    return IPICode(path, threads)
