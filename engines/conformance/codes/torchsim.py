"""TorchSim: states of one system, and its own dynamics at constant energy."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch_sim
from ase import Atoms, units
from torch_sim.integrators.nve import nve

from m3compress.contract.evaluation import Evaluation
from m3compress.engines.codes.torchsim import Model
from m3compress.engines.conformance.code import Given, Motion
from m3compress.errors import StructureError

_EVERY: Final = 5  # steps between two energies
_DOUBLE: Final = torch.float64


class TorchSimCode:
    """A model of TorchSim.

    Args:
        model: The model, with stresses.
    """

    gives: frozenset[Given] = frozenset({"virial"})
    #: TorchSim is periodic in all directions or in none.
    refuses = frozenset({"slab, open"})

    def __init__(self, model: Model) -> None:
        self._model = model
        self.title = f"TorchSim {version('torch-sim-atomistic')}"

    def evaluate(self, atoms: Atoms) -> Evaluation:
        """What ``model(state)`` gives.

        Raises:
            StructureError: If it has no meaningful energy, or TorchSim cannot have it.
        """
        output = {name: value.numpy() for name, value in self._model(_state(atoms)).items()}
        n_atoms = len(atoms)
        virial = np.full((3, 3), np.nan)
        if atoms.pbc.all():
            virial = output["stress"][0] * atoms.get_volume()
        energies = np.full(n_atoms, np.nan)
        return Evaluation(float(output["energy"][0]), energies, output["forces"], virial)

    def run(self, atoms: Atoms, *, timestep: float, n_steps: int) -> Motion:
        """Velocity Verlet of TorchSim.

        Raises:
            StructureError: If an atom gets lost.
        """
        step = torch.tensor(timestep * units.fs, dtype=_DOUBLE)
        start, advance = nve(self._model, dt=step, kT=torch.tensor(0.0, dtype=_DOUBLE))
        state = start(_state(atoms))
        state.momenta = torch.as_tensor(atoms.get_momenta(), dtype=_DOUBLE)
        energies = [_total_energy(state)]
        for done in range(1, n_steps + 1):
            state = advance(state, dt=step)
            if done % _EVERY == 0:
                energies.append(_total_energy(state))
        times = timestep * _EVERY * np.arange(len(energies), dtype=np.float64)
        return Motion(times, np.array(energies))


def _state(atoms: Atoms) -> torch_sim.state.SimState:
    if atoms.pbc.any() and not atoms.pbc.all():
        raise StructureError(
            f"TorchSim is periodic in all directions or in none, got pbc={atoms.pbc.tolist()}",
            hint="for a slab set pbc to True, with more than a cutoff of vacuum",
        )
    return torch_sim.io.atoms_to_state([atoms], torch.device("cpu"), _DOUBLE)


def _total_energy(state: torch_sim.integrators.md.MDState) -> float:
    kinetic = 0.5 * (state.momenta**2 / state.masses[:, None]).sum()
    return float(state.energy.sum() + kinetic)


def open_torchsim(path: Path, threads: int | None) -> TorchSimCode:
    """TorchSim with an exported file.

    Raises:
        ArtefactError: If the file cannot be opened.
    """
    return TorchSimCode(Model(path, threads=threads))
