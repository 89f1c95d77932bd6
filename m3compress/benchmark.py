"""Measure engines side by side: every candidate in a process of its own, their steps in turn.

Rounds are interleaved (A, B, A, B, …), so that a machine whose speed drifts slows both alike and
the ratio holds; processes of their own give each candidate its own peak memory.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import numpy as np
from ase import Atoms

from m3compress.engines.artefact import Artefact
from m3compress.errors import M3CompressError
from m3compress.models.structures.crystals import build_crystal, choose_crystals

Kind = Literal["artefact", "matgl", "triplets"]

_FEMTOSECONDS_PER_DAY_IN_NS = 86_400.0 * 1e-6
_MOVE = 0.005  # Å per step: keeps the neighbour list in its skin, as molecular dynamics does
_WARM_UP_STEPS = 1
_CUTOFF = 5.0  # Å, that of all M3GNets; matters only where no crystal of the elements is known


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something to time.

    Attributes:
        name: What to call it in the table.
        kind: How to load it.
        path: File or folder.
        threads: CPU threads.
    """

    name: str
    kind: Kind
    path: str
    threads: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """One candidate on one structure.

    Attributes:
        structure: Chemical formula of one cell.
        n_atoms: Number of atoms.
        engine: Name of the candidate.
        seconds: Median time of one step.
        all_seconds: Every round.
        peak_bytes: Peak resident memory above what the process held before the first step.
        speed_up: How much faster than the last candidate, as the median of the ratios round by
            round; None for the last candidate itself.
    """

    structure: str
    n_atoms: int
    engine: str
    seconds: float
    all_seconds: tuple[float, ...]
    peak_bytes: int
    speed_up: float | None = None

    @property
    def milliseconds_per_atom(self) -> float:
        """Time of a step per atom."""
        return self.seconds / self.n_atoms * 1e3

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


def candidates_for(artefact: Artefact, against: str | None, threads: int) -> list[Candidate]:
    """The artefact, and the reference if given: matgl's calculator where it can load it.

    Raises:
        M3CompressError: If the reference does not exist.
    """
    ours = Candidate("m3compress", "artefact", str(artefact.path), threads)
    if against is None:
        return [ours]
    from m3compress.api import resolve_source

    source = resolve_source(against)
    # Older eras load in today's matgl without complaint and are wrong by eV/Å; ours reads them all.
    native = artefact.manifest.source.convention == "matgl-4.1" and Path(source).is_dir()
    if native and importlib.util.find_spec("matgl") is not None:
        return [ours, Candidate("matgl PESCalculator", "matgl", str(source), threads)]
    return [ours, Candidate("PyTorch triplets", "triplets", str(source), threads)]


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
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for candidate in candidates:
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(candidate, atoms, there), daemon=True)
        process.start()
        there.close()
        pipes.append(here)
        processes.append(process)
    try:
        return _rounds(candidates, pipes, formula, len(atoms), rounds)
    finally:
        for process in processes:
            process.kill()
            process.join()


def _rounds(
    candidates: Sequence[Candidate],
    pipes: Sequence[Connection],
    formula: str,
    n_atoms: int,
    rounds: int,
) -> list[Measurement]:
    seconds: list[list[float]] = [[] for _ in candidates]
    peaks = [0 for _ in candidates]
    for _ in range(_WARM_UP_STEPS + rounds):
        for i, pipe in enumerate(pipes):
            elapsed, peaks[i] = _step(pipe, candidates[i])
            seconds[i].append(elapsed)
    timed = [times[_WARM_UP_STEPS:] for times in seconds]
    rows = [
        Measurement(formula, n_atoms, c.name, statistics.median(t), tuple(t), peak)
        for c, t, peak in zip(candidates, timed, peaks, strict=True)
    ]
    last = timed[-1]
    ratios = [[b / a for a, b in zip(t, last, strict=True)] for t in timed[:-1]]
    return [
        *(
            replace(row, speed_up=statistics.median(r))
            for row, r in zip(rows, ratios, strict=False)
        ),
        rows[-1],
    ]


def _step(pipe: Connection, candidate: Candidate) -> tuple[float, int]:
    try:
        pipe.send("step")
        answer = pipe.recv()
    except (EOFError, BrokenPipeError, ConnectionResetError) as error:
        raise M3CompressError(
            f"{candidate.name} died while running",
            hint="it probably ran out of memory; try fewer atoms with `--sizes`",
        ) from error
    if isinstance(answer, str):
        raise M3CompressError(f"{candidate.name} could not run: {answer}")
    return float(answer[0]), int(answer[1])


def _serve(candidate: Candidate, atoms: Atoms, pipe: Connection) -> None:
    """Body of a measuring process: step when asked, answer with time and peak memory."""
    try:
        step = _load(candidate, atoms)
        start = _peak_bytes()
        generator = np.random.default_rng(0)
        while True:
            pipe.recv()
            atoms.positions += generator.uniform(-_MOVE, _MOVE, atoms.positions.shape)
            begin = time.perf_counter()
            step()
            pipe.send((time.perf_counter() - begin, _peak_bytes() - start))
    except EOFError:
        return
    except Exception as error:  # every failure belongs to the parent, which reports it
        pipe.send(f"{type(error).__name__}: {error}")


def _load(candidate: Candidate, atoms: Atoms) -> Callable[[], object]:
    if candidate.kind == "triplets":
        return _load_triplets(candidate, atoms)
    if candidate.kind == "artefact":
        from m3compress.engines.codes.ase import Calculator

        atoms.calc = Calculator(candidate.path, threads=candidate.threads)
    else:
        atoms.calc = _load_matgl(candidate)
    return lambda: (atoms.get_forces(), atoms.get_stress())


def _load_matgl(candidate: Candidate) -> object:
    import matgl
    import torch
    from matgl.ext.ase import PESCalculator

    torch.set_num_threads(candidate.threads)
    return PESCalculator(matgl.load_model(candidate.path), stress_unit="eV/A3")


def _load_triplets(candidate: Candidate, atoms: Atoms) -> Callable[[], object]:
    import torch

    from m3compress.api import load_potential
    from m3compress.models.potential import evaluate

    torch.set_num_threads(candidate.threads)
    potential = load_potential(candidate.path).to(torch.float32)
    return lambda: evaluate(potential, atoms)


def _peak_bytes() -> int:
    """Peak resident memory of this process.

    From the kernel's own counter where there is one: ``ru_maxrss`` starts at that of the parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
