"""Time and memory of a step, candidate against the model as trained; nothing is decided by them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from ase import Atoms

from m3compress.analysis.timing import Cost, median_ratio, time_in_turn
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.building import Check
from m3compress.validate.result import Measurement
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.recall import recall
from m3compress.validate.setup.subject import Subject

_N_ATOMS: Final = 200
_ROUNDS: Final = 5
_PATIENCE: Final = 300.0  # seconds for one step, loading included
_MEGABYTE: Final = 1e6


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
            value=median_ratio(ours.seconds, theirs.seconds),
            evidence={
                **_described(context, named),
                "seconds_per_step": statistics.median(ours.seconds),
                "reference_seconds_per_step": statistics.median(theirs.seconds),
                "cpu_seconds_per_step": statistics.median(ours.cpu_seconds),
                "reference_cpu_seconds_per_step": statistics.median(theirs.cpu_seconds),
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
    if theirs.peak_bytes < _MEGABYTE:
        return (Measurement(skipped="the memory of a step is too small to be measured"),)
    return (
        Measurement(
            structure=named.name,
            value=ours.peak_bytes / theirs.peak_bytes,
            evidence={
                **_described(context, named),
                "megabytes": ours.peak_bytes / _MEGABYTE,
                "reference_megabytes": theirs.peak_bytes / _MEGABYTE,
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


def _costs(context: Context, subject: Subject, named: Named) -> tuple[Cost, ...]:
    """Of the subject, and of the reference in float32."""
    specs = (subject.spec, replace(context.reference, precision="float32"))
    threads = _threads(context)
    return recall(
        context,
        subject,
        ("costs", named.name),
        lambda: time_in_turn(
            [spec.with_threads(threads) for spec in specs],
            named.atoms,
            _ROUNDS,
            patience=_PATIENCE,
        ),
    )


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
