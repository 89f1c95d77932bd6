"""Time steps side by side: every candidate in a process of its own, their steps in turn.

Rounds are interleaved (A, B, A, B, …), so that a machine whose speed drifts slows all alike and
ratios hold round by round; processes of their own give each candidate its own memory and threads.
Between two steps the machine is left to itself, so that no candidate pays for the one before it.
"""

from __future__ import annotations

import math
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from ase import Atoms

from m3compress.errors import M3CompressError

_MOVE: Final = 0.005  # Å per step: keeps a neighbour list in its skin, as molecular dynamics does
_WARM_UP: Final = 1
#: Seconds before every step. Idle threads of many libraries spin on for up to a tenth of a second:
#: two threads of another candidate would share a processor with them, and take half as long again.
_SETTLE: Final = 0.3


class Steps(Protocol):
    """What is timed: an :class:`~m3compress.contract.evaluation.Evaluator`, for instance."""

    def evaluate(self, atoms: Atoms) -> object:
        """One step: energy, forces and virial of the structure."""


class Candidate(Protocol):
    """What can be timed: a small picklable value that its process opens for itself."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def open(self) -> Steps:
        """Load it, in the process in which it is timed."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step of a candidate takes.

    Attributes:
        seconds: By the clock, one per round.
        cpu_seconds: Of the processor, user and system, summed over the threads; one per round.
        peak_bytes: See :class:`PeakMemory`; it starts before the first step.
    """

    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    peak_bytes: int


def median_ratio(own: Sequence[float], others: Sequence[float]) -> float:
    """Median of the ratios round by round: what slows a machine down slows both."""
    return statistics.median(a / b for a, b in zip(own, others, strict=True))


class PeakMemory:
    """Peak resident memory of this process above what it held when this was made.

    Where the kernel does not let its peak be forgotten, the peak until then is taken for what the
    process held: what is used after a hungry start is then too low.
    """

    def __init__(self) -> None:
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
            self._start = _resident("VmRSS")
        except OSError:
            self._start = _resident("VmHWM")

    def bytes(self) -> int:
        """The peak so far."""
        return max(0, _resident("VmHWM") - self._start)


def time_in_turn(
    candidates: Sequence[Candidate],
    atoms: Atoms,
    rounds: int,
    *,
    patience: float | None = None,
    enough: float = math.inf,
) -> tuple[Cost, ...]:
    """Time the steps of all candidates in turn, the atoms moving a little before each.

    Args:
        candidates: What to time.
        atoms: The structure; it is not changed.
        rounds: Steps of each that count; one before them does not.
        patience: Seconds to wait for a step, loading included; None for as long as it takes.
        enough: Seconds after which no further round begins; one always counts.

    Returns:
        One cost per candidate.

    Raises:
        M3CompressError: If a candidate cannot be opened or run, dies, or takes too long.
    """
    answers: list[list[tuple[float, float, int]]] = [[] for _ in candidates]
    with _served(candidates, atoms) as pipes:
        began = time.monotonic()
        for number in range(_WARM_UP + rounds):
            if number > _WARM_UP and time.monotonic() - began > enough:
                break
            for candidate, pipe, given in zip(candidates, pipes, answers, strict=True):
                time.sleep(_SETTLE)
                given.append(_step(pipe, candidate.name, patience))
    return tuple(_cost(given) for given in answers)


def _cost(answers: Sequence[tuple[float, float, int]]) -> Cost:
    seconds, cpu_seconds, peaks = zip(*answers, strict=True)
    return Cost(seconds[_WARM_UP:], cpu_seconds[_WARM_UP:], peaks[-1])


@contextmanager
def _served(candidates: Sequence[Candidate], atoms: Atoms) -> Iterator[list[Connection]]:
    """A process for every candidate, and the pipes to them."""
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    processes = []
    try:
        for candidate in candidates:
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(candidate, atoms, there), daemon=True)
            process.start()
            there.close()
            pipes.append(here)
            processes.append(process)
        yield pipes
    finally:
        for process in processes:
            process.kill()
            process.join()
        for pipe in pipes:
            pipe.close()


def _step(pipe: Connection, name: str, patience: float | None) -> tuple[float, float, int]:
    try:
        # One that has ended already may have said why.
        with suppress(BrokenPipeError):
            pipe.send("step")
        if not pipe.poll(patience):
            raise M3CompressError(
                f"a step of {name} took more than {patience:.0f} s", hint="time fewer atoms"
            )
        answer = pipe.recv()
    except (EOFError, ConnectionResetError) as error:
        raise M3CompressError(
            f"{name} died while it was timed",
            hint="it probably ran out of memory: time fewer atoms",
        ) from error
    if isinstance(answer, str):
        raise M3CompressError(f"{name} could not be timed: {answer}")
    seconds, cpu_seconds, peak = answer
    return float(seconds), float(cpu_seconds), int(peak)


def _serve(candidate: Candidate, atoms: Atoms, pipe: Connection) -> None:
    """Body of a measuring process: step when asked, answer with times and peak memory."""
    try:
        opened = candidate.open()
        rng = np.random.default_rng(0)
        memory = PeakMemory()
        while True:
            pipe.recv()
            atoms.positions += rng.uniform(-_MOVE, _MOVE, atoms.positions.shape)
            start, cpu_start = time.perf_counter(), time.process_time()
            opened.evaluate(atoms)
            seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
            pipe.send((seconds, cpu_seconds, memory.bytes()))
    except EOFError:
        return
    except Exception as error:  # every failure belongs to the parent, which reports it
        pipe.send(f"{type(error).__name__}: {error}")


def _resident(field: str) -> int:
    """``VmHWM`` (peak) or ``VmRSS`` (now) of this process in bytes; the peak without a /proc."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        # Not the first choice on Linux: it starts at that of the parent.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
