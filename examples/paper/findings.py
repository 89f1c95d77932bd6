"""What the runs say: how far each method moves forces and distributions, beyond the noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase import Atoms
from plan import FULL, ITSELF, Arm

from m3compress.analysis.observables.distances import area_between, rdf_error
from m3compress.analysis.observables.pairs import TOTAL, pair_distribution
from m3compress.analysis.statistics.arms import compare_curves
from m3compress.analysis.statistics.noise import measure_noise
from m3compress.engines.dynamics.pool import Run
from m3compress.validate.result import Measurement, judge
from m3compress.validate.setup.limits import read_limits
from m3compress.validate.setup.subject import TrainedSpec

Array = npt.NDArray[np.float64]

R_MAX = 6.0  # Å
#: Largest acceptable drift: that of the gate's profile ``ci``.
LIMIT = read_limits("ci")["md.rdf"]
RATTLE = 0.03  # Å, as in reference values of the DGL era


@dataclass(frozen=True, slots=True)
class Drift:
    """How far one method moves one distribution of one crystal.

    Attributes:
        model: Name of the model.
        method: What was done to the block.
        crystal: Name of the crystal.
        pair: Pair of elements, or ``total``.
        value: rdf_error in %, noise taken out.
        low: Lower end of its 95 % interval.
        high: Upper end.
        floor: What noise alone gives, in %.
        area: ∫ |g − g_full| dr in Å, noise included.
        verdict: By the limit of the gate.
    """

    model: str
    method: str
    crystal: str
    pair: str
    value: float
    low: float
    high: float
    floor: float
    area: float
    verdict: str


@dataclass(frozen=True, slots=True)
class Distribution:
    """A mean g(r) and the 95 % band of this mean."""

    model: str
    method: str
    crystal: str
    pair: str
    r: Array
    g: Array
    reach: Array


def broken_runs(runs: Sequence[Run]) -> list[str]:
    """Runs that exploded, lost an atom or died, and why."""
    return [f"{run.job.name}: {run.broken}" for run in runs if run.broken]


def drifts_of(arms: Sequence[tuple[Arm, Sequence[Run]]]) -> Iterator[Drift]:
    """Drift of every method against the full model; arms with a broken run have none."""
    sound = [(arm, runs) for arm, runs in arms if not broken_runs(runs)]
    found = {id(arm): [pair_distribution(run.frames, R_MAX) for run in runs] for arm, runs in sound}
    full = {(arm.model, arm.crystal): arm for arm, _ in sound if arm.method == FULL}
    for arm, _ in sound:
        reference = full.get((arm.model, arm.crystal))
        if arm.method == FULL or reference is None:
            continue
        ours, theirs = found[id(arm)], found[id(reference)]
        for pair in ours[0].g:
            sides = [[replica.g[pair] for replica in side] for side in (ours, theirs)]
            yield _drift(arm, pair, ours[0].r, sides[0], sides[1])


def _drift(arm: Arm, pair: str, r: Array, ours: list[Array], theirs: list[Array]) -> Drift:
    compared = compare_curves(ours, theirs, lambda g, target: rdf_error(r, g, target))
    low, high = compared.interval
    means = [np.concatenate(side).mean(axis=0) for side in (ours, theirs)]
    return Drift(
        model=arm.model.name,
        method=arm.method,
        crystal=arm.crystal,
        pair=pair,
        value=compared.value,
        low=low,
        high=high,
        floor=compared.floor,
        area=float(area_between(r, *means)),
        verdict=str(judge(Measurement(value=compared.value, interval=compared.interval), LIMIT)),
    )


def distributions_of(
    arms: Sequence[tuple[Arm, Sequence[Run]]], crystal: str
) -> Iterator[Distribution]:
    """Mean distributions of one crystal."""
    for arm, runs in arms:
        if arm.crystal != crystal or broken_runs(runs):
            continue
        replicas = [pair_distribution(run.frames, R_MAX) for run in runs]
        for pair in replicas[0].g:
            noise = measure_noise([replica.g[pair] for replica in replicas])
            reach = 1.96 * np.sqrt((noise.residuals**2).sum(axis=0))
            yield Distribution(
                arm.model.name, arm.method, crystal, pair, replicas[0].r, noise.mean, reach
            )


def force_changes(
    specs: dict[str, TrainedSpec], crystals: dict[str, Atoms]
) -> dict[str, dict[str, float]]:
    """By method and crystal: root mean square change of the forces, in % of that of the forces."""
    frames = {name: cell.copy() for name, cell in crystals.items()}
    for seed, frame in enumerate(frames.values()):
        frame.rattle(RATTLE, seed=seed)
    reference = specs[FULL].open()
    forces = {name: reference.evaluate(frame).forces for name, frame in frames.items()}
    changes = {}
    for method, spec in specs.items():
        if method in (FULL, ITSELF):
            continue
        subject = spec.open()
        changes[method] = {
            name: 100 * _rms(subject.evaluate(frame).forces - forces[name]) / _rms(forces[name])
            for name, frame in frames.items()
        }
    return changes


def _rms(values: Array) -> float:
    return float(np.sqrt((values**2).mean()))


def is_total(drift: Drift) -> bool:
    """Whether it is that of all pairs together."""
    return drift.pair == TOTAL
