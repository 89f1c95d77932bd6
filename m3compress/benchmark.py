"""What ``m3compress bench`` times: an exported file, and what it was made from."""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator as AseCalculator

from m3compress.analysis.timing import Steps, median_ratio, time_in_turn
from m3compress.contract.backends import Device
from m3compress.engines.artefact import Artefact
from m3compress.models.structures.crystals import build_crystal, choose_crystals

Kind = Literal["artefact", "matgl", "triplets"]

_FEMTOSECONDS_PER_DAY_IN_NS = 86_400.0 * 1e-6
_CUTOFF = 5.0  # Å, that of all M3GNets; matters only where no crystal of the elements is known


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something to time.

    Attributes:
        name: What to call it in the table.
        kind: How to load it.
        path: File or folder.
        threads: CPU threads.
        device: Where an exported file runs.
        convention: Of a model, where its file does not say it.
        labels: Frames that decide the convention otherwise.
    """

    name: str
    kind: Kind
    path: str
    threads: int
    device: Device = "cpu"
    convention: str | None = None
    labels: Path | None = None

    def open(self) -> Steps:
        """Load it, in the process in which it is timed."""
        return _OPENERS[self.kind](self)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One candidate on one structure.

    Attributes:
        structure: Chemical formula of one cell.
        n_atoms: Number of atoms.
        engine: Name of the candidate.
        seconds: Median time of one step by the clock.
        all_seconds: Every round.
        peak_bytes: Peak resident memory above what the process held before the first step.
        speed_up: How much faster than the last candidate, as the median of the ratios round by
            round; None for the last candidate itself.
        cpu_seconds: Median time of the processor for one step, all threads together.
        all_cpu_seconds: Every round.
        cpu_speed_up: How much less of the processor's time it takes than the last candidate.
    """

    structure: str
    n_atoms: int
    engine: str
    seconds: float
    all_seconds: tuple[float, ...]
    peak_bytes: int
    speed_up: float | None
    cpu_seconds: float
    all_cpu_seconds: tuple[float, ...]
    cpu_speed_up: float | None

    @property
    def milliseconds_per_atom(self) -> float:
        """Time of a step per atom."""
        return self.seconds / self.n_atoms * 1e3

    @property
    def cpu_milliseconds_per_atom(self) -> float:
        """Time of the processor for a step per atom."""
        return self.cpu_seconds / self.n_atoms * 1e3

    @property
    def atoms_per_second(self) -> float:
        """Atoms times steps per second."""
        return self.n_atoms / self.seconds

    @property
    def nanoseconds_per_day(self) -> float:
        """Simulated time per day at a timestep of 1 fs."""
        return _FEMTOSECONDS_PER_DAY_IN_NS / self.seconds

    @property
    def megabytes_per_atom(self) -> float:
        """Peak memory per atom."""
        return self.peak_bytes / self.n_atoms / 1e6


def candidates_for(
    artefact: Artefact,
    against: str | None,
    threads: int,
    device: Device = "cpu",
    *,
    convention: str | None = None,
    labels: Path | None = None,
) -> list[Candidate]:
    """The artefact, and the reference if given: matgl's calculator where it can load it.

    Args:
        artefact: The exported file.
        against: What the user calls the reference.
        threads: CPU threads.
        device: Where the exported file runs.
        convention: Of the reference, where its file does not say it.
        labels: Frames that decide the convention otherwise.

    Raises:
        M3CompressError: If the reference does not exist.
    """
    ours = Candidate("m3compress", "artefact", str(artefact.path), threads, device)
    if against is None:
        return [ours]
    from m3compress.api import resolve_source

    source = resolve_source(against)
    # Older eras load in today's matgl without complaint and are wrong by eV/Å; ours reads them all.
    known_as = convention or artefact.manifest.source.convention
    native = known_as == "matgl-4.1" and Path(source).is_dir()
    if native and importlib.util.find_spec("matgl") is not None:
        return [ours, Candidate("matgl PESCalculator", "matgl", str(source), threads)]
    reference = Candidate("PyTorch triplets", "triplets", str(source), threads)
    return [ours, replace(reference, convention=convention, labels=labels)]


def benchmark_structure(elements: Sequence[str], n_atoms: int) -> tuple[str, Atoms]:
    """A crystal of about ``n_atoms`` atoms that the model knows, rattled by 0.05 Å.

    Rutile TiO2 where the model knows it (53 neighbours within 5 Å), else alpha-quartz, else the
    first crystal of the zoo.
    """
    known = set(elements)
    if known >= {"Ti", "O"}:
        cell = build_crystal("TiO2-rutile")
    elif known >= {"Si", "O"}:
        cell = build_crystal("SiO2-quartz")
    else:
        cell = choose_crystals(elements, cutoff=_CUTOFF)[0].atoms
    repeat = _repeats(cell, n_atoms)
    atoms = cell.repeat(repeat)
    atoms.rattle(0.05, seed=1)
    return cell.get_chemical_formula("reduce"), atoms


def _repeats(cell: Atoms, n_atoms: int) -> tuple[int, int, int]:
    """Repeats that bring the cell close to ``n_atoms`` and to a cube."""
    lengths = cell.cell.lengths()
    side = (n_atoms / len(cell) * np.prod(lengths)) ** (1 / 3)
    first, second = (max(1, round(side / length)) for length in lengths[:2])
    third = max(1, round(n_atoms / len(cell) / (first * second)))
    return first, second, third


def measure(
    candidates: Sequence[Candidate], elements: Sequence[str], n_atoms: int, rounds: int
) -> list[Measurement]:
    """Time all candidates on one structure, their steps in turn.

    Raises:
        M3CompressError: If a candidate cannot be loaded or run, or runs out of memory.
    """
    formula, atoms = benchmark_structure(elements, n_atoms)
    costs = time_in_turn(candidates, atoms, rounds)
    rows = [
        Measurement(
            structure=formula,
            n_atoms=len(atoms),
            engine=candidate.name,
            seconds=statistics.median(cost.seconds),
            all_seconds=cost.seconds,
            peak_bytes=cost.peak_bytes,
            speed_up=median_ratio(costs[-1].seconds, cost.seconds),
            cpu_seconds=statistics.median(cost.cpu_seconds),
            all_cpu_seconds=cost.cpu_seconds,
            cpu_speed_up=median_ratio(costs[-1].cpu_seconds, cost.cpu_seconds),
        )
        for candidate, cost in zip(candidates, costs, strict=True)
    ]
    return [*rows[:-1], replace(rows[-1], speed_up=None, cpu_speed_up=None)]


def _open_artefact(candidate: Candidate) -> Steps:
    from m3compress.engines.codes.ase import Calculator

    # Of a rattled crystal some bond is shorter than any that was learned: no matter for a time,
    # and the comparison itself takes none that could be measured.
    return _ThroughAse(
        Calculator(
            candidate.path,
            device=candidate.device,
            threads=candidate.threads,
            on_overlap="ignore",
        )
    )


def _open_matgl(candidate: Candidate) -> Steps:
    import matgl
    import torch
    from matgl.ext.ase import PESCalculator

    torch.set_num_threads(candidate.threads)
    return _ThroughAse(PESCalculator(matgl.load_model(candidate.path), stress_unit="eV/A3"))


def _open_triplets(candidate: Candidate) -> Steps:
    import torch

    from m3compress.api import load_potential

    torch.set_num_threads(candidate.threads)
    read = load_potential(candidate.path, convention=candidate.convention, labels=candidate.labels)
    return read.to(torch.float32)


_OPENERS: Final[dict[Kind, Callable[[Candidate], Steps]]] = {
    "artefact": _open_artefact,
    "matgl": _open_matgl,
    "triplets": _open_triplets,
}


@dataclass(frozen=True, slots=True)
class _ThroughAse:
    """A calculator, asked as molecular dynamics at constant pressure asks it."""

    calculator: AseCalculator

    def evaluate(self, atoms: Atoms) -> object:
        atoms.calc = self.calculator
        return atoms.get_forces(), atoms.get_stress()
