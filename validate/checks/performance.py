"""Time and memory of a step, candidate against the model as trained; nothing is decided by them.

Each has a process of its own, so that peak memory is its own, and their steps alternate, so that a
machine whose speed drifts slows both alike.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms

from m3compress.errors import M3CompressError
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.building import Check
from m3compress.validate.result import Measurement
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.recall import recall
from m3compress.validate.setup.subject import Subject, SubjectSpec

_N_ATOMS: Final = 200
_ROUNDS: Final = 5
_WARM_UP: Final = 1
_MOVE: Final = 0.005  # Å per step, as in molecular dynamics: neighbour lists keep their skin
_PATIENCE: Final = 300.0  # seconds for one step, loading included
_MEGABYTE: Final = 1e6


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step takes.

    Attributes:
        seconds: Of every round.
        bytes: Peak memory above what the process held before its first step.
    """

    seconds: tuple[float, ...]
    bytes: int


def measure_speed(context: Context, subject: Subject) -> Iterable[Measurement]:
    """Median over rounds of the time of a step over that of the reference in float32."""
    named = _structure(context)
    if isinstance(named, str):
        return (Measurement(skipped=named),)
    ours, theirs = _costs(context, subject, named)
    ratios = [a / b for a, b in zip(ours.seconds, theirs.seconds, strict=True)]
    return (
        Measurement(
            structure=named.name,
            value=statistics.median(ratios),
            evidence={
                **_described(context, named),
                "seconds_per_step": statistics.median(ours.seconds),
                "reference_seconds_per_step": statistics.median(theirs.seconds),
                "ratios": ratios,
            },
        ),
    )


def measure_memory(context: Context, subject: Subject) -> Iterable[Measurement]:
    """Peak memory of a step over that of the reference in float32."""
    named = _structure(context)
    if isinstance(named, str):
        return (Measurement(skipped=named),)
    ours, theirs = _costs(context, subject, named)
    if theirs.bytes < _MEGABYTE:
        return (Measurement(skipped="the memory of a step is too small to be measured"),)
    return (
        Measurement(
            structure=named.name,
            value=ours.bytes / theirs.bytes,
            evidence={
                **_described(context, named),
                "megabytes": ours.bytes / _MEGABYTE,
                "reference_megabytes": theirs.bytes / _MEGABYTE,
            },
        ),
    )


def _structure(context: Context) -> Named | str:
    """A sample or crystal of about 200 atoms, or why there is none."""
    if not context.profile.performance:
        return f"the profile {context.profile.name} does without performance"
    known = (*context.samples, *context.crystals)
    if not known:
        return "there is no crystal to time"
    return Named(known[0].name, _grown(known[0].atoms))


def _grown(atoms: Atoms) -> Atoms:
    """The cell repeated along its shortest vectors until it is as large as it may be."""
    grown = atoms.copy()
    while True:
        repeats = 1 + np.eye(3, dtype=int)[int(np.argmin(grown.cell.lengths()))]
        if len(grown) * repeats.prod() > _N_ATOMS:
            return grown
        grown = grown.repeat(repeats)


def _described(context: Context, named: Named) -> dict[str, Any]:
    return {"n_atoms": len(named.atoms), "threads": _threads(context), "rounds": _ROUNDS}


def _threads(context: Context) -> int:
    return context.candidate.threads or 1


def _costs(context: Context, subject: Subject, named: Named) -> tuple[Cost, Cost]:
    """Of the subject, and of the reference in the precision of the file."""
    specs = (subject.spec, replace(context.reference, precision="float32"))
    threads = _threads(context)
    return recall(
        context,
        subject,
        ("costs", named.name),
        lambda: _measure([spec.with_threads(threads) for spec in specs], named.atoms),
    )


def _measure(specs: Sequence[SubjectSpec], atoms: Atoms) -> tuple[Cost, Cost]:
    """Time the steps of two subjects in turn.

    Raises:
        M3CompressError: If one of them cannot be opened or run.
    """
    seconds: list[list[float]] = [[], []]
    peaks = [0, 0]
    with _served(specs, atoms) as pipes:
        for round_number in range(_WARM_UP + _ROUNDS):
            for row, pipe in enumerate(pipes):
                elapsed, peaks[row] = _step(pipe, specs[row].name)
                if round_number >= _WARM_UP:
                    seconds[row].append(elapsed)
    ours, theirs = (Cost(tuple(s), peak) for s, peak in zip(seconds, peaks, strict=True))
    return ours, theirs


@contextmanager
def _served(specs: Sequence[SubjectSpec], atoms: Atoms) -> Iterator[list[Connection]]:
    """A process for every subject, and the pipes to them."""
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    processes = []
    try:
        for spec in specs:
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(spec, atoms, there), daemon=True)
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


def _step(pipe: Connection, name: str) -> tuple[float, int]:
    try:
        pipe.send("step")
        if not pipe.poll(_PATIENCE):
            raise M3CompressError(f"a step of the {name} took more than {_PATIENCE:.0f} s")
        answer = pipe.recv()
    except (EOFError, BrokenPipeError, ConnectionResetError) as error:
        raise M3CompressError(
            f"the {name} died while it was timed", hint="it probably ran out of memory"
        ) from error
    if isinstance(answer, str):
        raise M3CompressError(f"the {name} could not be timed: {answer}")
    return float(answer[0]), int(answer[1])


def _serve(spec: SubjectSpec, atoms: Atoms, pipe: Connection) -> None:
    """Body of a measuring process: step when asked, answer with time and peak memory."""
    try:
        subject = spec.open()
        start = _start_of_memory()
        rng = np.random.default_rng(0)
        while True:
            pipe.recv()
            atoms.positions += rng.uniform(-_MOVE, _MOVE, atoms.positions.shape)
            begin = time.perf_counter()
            subject.evaluate(atoms)
            pipe.send((time.perf_counter() - begin, _memory("VmHWM") - start))
    except EOFError:
        return
    except Exception as error:  # every failure belongs to the parent, which reports it
        pipe.send(f"{type(error).__name__}: {error}")


def _start_of_memory() -> int:
    """Resident memory now; the peak that loading left behind is forgotten where possible."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return _memory("VmHWM")
    return _memory("VmRSS")


def _memory(field: str) -> int:
    """``VmHWM`` (peak) or ``VmRSS`` (now) of this process in bytes; the peak without a /proc."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        import resource
        import sys

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


CHECKS: Final[tuple[Check, ...]] = (
    Check(
        id="perf.speed",
        measures="time of a step over that of the trained model in PyTorch, float32",
        run=measure_speed,
    ),
    Check(
        id="perf.memory",
        measures="peak memory of a step over that of the trained model in PyTorch, float32",
        run=measure_memory,
    ),
)
