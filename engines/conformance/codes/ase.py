"""ASE with :class:`~m3compress.engines.codes.ase.Calculator`, or any other of its calculators."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import ase
import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import PropertyNotImplementedError

from m3compress.contract.evaluation import Evaluation
from m3compress.engines.codes.ase import Calculator
from m3compress.engines.conformance.code import Given, Motion

_GIVEN: Final[dict[str, Given]] = {
    "energies": "energies of atoms",
    "stress": "virial",
    "stresses": "virials of atoms",
}


class AseCode:
    """A calculator of ASE, asked by way of structures.

    Args:
        calculator: The calculator.
    """

    refuses: frozenset[str] = frozenset()

    def __init__(self, calculator: Any) -> None:
        self._calculator = calculator
        self.title = f"ASE {ase.__version__}, {type(calculator).__name__}"
        has = calculator.implemented_properties
        self.gives = frozenset(given for name, given in _GIVEN.items() if name in has)

    def evaluate(self, atoms: Atoms) -> Evaluation:
        """What ``atoms.get_…`` give; NaN for what there is not.

        Raises:
            Exception: What the calculator raises.
        """
        asked = atoms.copy()
        asked.calc = self._calculator
        n_atoms, virial = len(asked), np.full((3, 3), np.nan)
        if "virial" in self.gives and asked.pbc.all():
            virial = asked.get_stress(voigt=False) * asked.get_volume()
        energies, virials = np.full(n_atoms, np.nan), None
        # Promised, and not kept: a clause will tell.
        with suppress(PropertyNotImplementedError):
            if "energies of atoms" in self.gives:
                energies = asked.get_potential_energies()
        with suppress(PropertyNotImplementedError):
            if "virials of atoms" in self.gives and asked.pbc.all():
                virials = asked.get_stresses(voigt=False) * asked.get_volume()
        energy = float(asked.get_potential_energy())
        return Evaluation(energy, energies, asked.get_forces(), virial, virials)

    def run(self, atoms: Atoms, *, timestep: float, n_steps: int) -> Motion:
        """Velocity Verlet of ASE.

        Raises:
            Exception: What the calculator raises.
        """
        from ase.md.verlet import VelocityVerlet  # here: it needs SciPy

        moving = atoms.copy()
        moving.set_momenta(atoms.get_momenta())
        moving.calc = self._calculator
        energies: list[float] = []
        with VelocityVerlet(moving, timestep * units.fs) as dynamics:
            dynamics.attach(lambda: energies.append(moving.get_total_energy()))
            dynamics.run(n_steps)
        return Motion(timestep * np.arange(len(energies), dtype=np.float64), np.array(energies))


def open_ase(path: Path, threads: int | None) -> AseCode:
    """ASE with the calculator of an exported file.

    Raises:
        ArtefactError: If the file cannot be opened.
    """
    return AseCode(Calculator(path, threads=threads, on_overlap="ignore"))
