"""TorchSim: an exported file as a model of batches of systems; eV, Å and eV/Å³ as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from ase import Atoms
from torch_sim.models.interface import ModelInterface
from torch_sim.state import SimState

from m3compress.contract.backends import Device
from m3compress.contract.evaluation import Evaluation
from m3compress.engines.evaluator import ArtefactEvaluator

_CPU: Final = torch.device("cpu")


class Model(ModelInterface):
    """An exported file for ``torch_sim``: all systems of a state in one evaluation.

    Graphs of old exports give one virial for all, and then evaluate system by system.

    Args:
        artefact: An exported file.
        device: Where tensors are, and where the file runs.
        dtype: Of the tensors that TorchSim gets; float64, so that energies keep their digits.
        compute_stress: Whether stresses are asked for.
        options: Of :class:`~m3compress.engines.evaluator.ArtefactEvaluator`, such as ``threads``.

    Raises:
        ArtefactError: If the file cannot be opened, or is not one for this device.
        MissingDependencyError: If its runtime or the device is missing.
    """

    def __init__(
        self,
        artefact: str | Path,
        *,
        device: torch.device = _CPU,
        dtype: torch.dtype = torch.float64,
        compute_stress: bool = True,
        **options: Any,
    ) -> None:
        super().__init__()
        self._device = device
        self._dtype = dtype
        self._compute_stress = compute_stress
        self._compute_forces = True
        place: Device = "cuda" if device.type == "cuda" else "cpu"
        self.evaluator = ArtefactEvaluator(artefact, device=place, **options)

    def forward(self, state: SimState | dict[str, Any], **kwargs: Any) -> dict[str, torch.Tensor]:
        """Energies (n_systems,), forces (n_atoms, 3) and stresses (n_systems, 3, 3).

        Args:
            state: One system or many.
            **kwargs: Ignored.

        Raises:
            StructureError: If one of the systems has no meaningful energy.
        """
        del kwargs
        systems = _systems(state if isinstance(state, SimState) else SimState(**state))
        found = self.evaluator.evaluate_all(systems)
        results = {
            "energy": self._tensor(np.array([one.energy for one in found])),
            "forces": self._tensor(np.concatenate([one.forces for one in found])),
        }
        if self._compute_stress:
            stresses = [_stress(*pair) for pair in zip(found, systems, strict=True)]
            results["stress"] = self._tensor(np.array(stresses))
        return results

    def _tensor(self, values: np.ndarray[Any, Any]) -> torch.Tensor:
        return torch.as_tensor(values, device=self._device, dtype=self._dtype)


def _stress(found: Evaluation, atoms: Atoms) -> np.ndarray[Any, Any]:
    """(1/V) ∂E/∂strain; zero for what is not periodic in all directions, which has no volume."""
    if not atoms.pbc.all():
        return np.zeros((3, 3))
    return np.asarray((found.virial + found.virial.T) / (2 * atoms.get_volume()))


def _systems(state: SimState) -> list[Atoms]:
    """Structures of a state, in its order."""
    host = {
        name: getattr(state, name).detach().cpu().numpy()
        for name in ("positions", "atomic_numbers", "system_idx", "cell")
    }
    pbc = state.pbc.tolist() if isinstance(state.pbc, torch.Tensor) else state.pbc
    systems = []
    # Columns of TorchSim's cells are the lattice vectors.
    for number, cell in enumerate(host["cell"]):
        mine = host["system_idx"] == number
        numbers, positions = host["atomic_numbers"][mine], host["positions"][mine]
        systems.append(Atoms(numbers, positions.astype(np.float64), cell=cell.T, pbc=pbc))
    return systems
