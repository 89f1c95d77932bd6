"""What ``gpu.py`` measures: an exported file, our model in PyTorch and matgl's calculator.

Each is opened in the process that measures it, and says of every step how long the network took,
with the way of its inputs to the GPU and of its results back. The rest of a step is neighbours and
edges, which all of them find on the processor.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from ase import Atoms

from m3compress.contract.arrays import FloatArray
from m3compress.contract.backends import Device

CONVENTION = "matgl-4.1"
Kind = Literal["artefact", "pytorch", "matgl"]


@dataclass(frozen=True, slots=True)
class Step:
    """What a step gives.

    Attributes:
        energy: Of the structure in eV.
        forces: In eV/Å, shape (n_atoms, 3).
        stress: In eV/Å³, Voigt order, shape (6,).
        network_seconds: Of the step that the network took.
    """

    energy: float
    forces: FloatArray
    stress: FloatArray
    network_seconds: float


class Opened(Protocol):
    """A candidate that is loaded."""

    description: str

    def step(self, atoms: Atoms) -> Step:
        """Energy, forces and stress, on the host when it returns."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something to measure.

    Attributes:
        name: What to call it.
        kind: How to load it.
        path: File or folder.
        device: Where the network runs.
    """

    name: str
    kind: Kind
    path: str
    device: Device

    def open(self) -> Opened:
        """Load it."""
        return _OPENERS[self.kind](self)


class _Artefact:
    """An exported file in its engine."""

    def __init__(self, candidate: Candidate) -> None:
        from m3compress.engines.evaluator import ArtefactEvaluator

        self._evaluator = ArtefactEvaluator(candidate.path, device=candidate.device)
        self.description = self._evaluator.description

    def step(self, atoms: Atoms) -> Step:
        inputs = self._evaluator.inputs(atoms)
        start = time.perf_counter()
        found = self._evaluator.run(inputs)
        seconds = time.perf_counter() - start
        return Step(found.energy, found.forces, found.stress(atoms), seconds)


class _PyTorch:
    """Our model as trained code in float32, its three-body sums factorised."""

    def __init__(self, candidate: Candidate) -> None:
        import torch

        from m3compress.api import load_potential
        from m3compress.contract.forms import FACTORIZED

        loaded = load_potential(candidate.path, convention=CONVENTION)
        self._potential = loaded.with_form(FACTORIZED).to(torch.float32)
        self._potential.network.to(candidate.device)
        self.description = f"PyTorch {torch.__version__}, {candidate.device}"

    def step(self, atoms: Atoms) -> Step:
        from m3compress.contract.neighbors import find_edges
        from m3compress.models.potential import evaluate

        edges = find_edges(atoms, self._potential.cutoff)
        start = time.perf_counter()
        found = evaluate(self._potential, atoms, edges)
        seconds = time.perf_counter() - start
        return Step(found.energy, found.forces, found.stress(atoms), seconds)


class _Matgl:
    """matgl's own calculator, with a clock around its potential."""

    def __init__(self, candidate: Candidate) -> None:
        import matgl
        import torch
        from matgl.ext.ase import PESCalculator

        self._potential = matgl.load_model(candidate.path).to(candidate.device)
        self._calculator = PESCalculator(self._potential, stress_unit="eV/A3", use_voigt=True)
        self._calculator.potential = self._timed
        self._seconds = 0.0
        versions = f"matgl {matgl.__version__}, PyTorch {torch.__version__}"
        self.description = f"{versions}, {candidate.device}"

    def step(self, atoms: Atoms) -> Step:
        self._calculator.calculate(atoms)
        results = self._calculator.results
        return Step(float(results["energy"]), results["forces"], results["stress"], self._seconds)

    def _timed(self, *inputs: Any) -> tuple[Any, ...]:
        start = time.perf_counter()
        # The way back to the host waits for the GPU.
        outputs = tuple(output.detach().cpu() for output in self._potential(*inputs))
        self._seconds = time.perf_counter() - start
        return outputs


_OPENERS: Final[dict[Kind, Callable[[Candidate], Opened]]] = {
    "artefact": _Artefact,
    "pytorch": _PyTorch,
    "matgl": _Matgl,
}
