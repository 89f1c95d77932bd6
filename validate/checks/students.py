"""A student against its teacher: on the teacher's trajectories, and on its own.

The gate runs both at the highest temperature that the student was trained for. No frame of either
was ever trained on, and the student's own show where it goes when nobody holds its hand: a student
may be right wherever its teacher goes, conserve its energy, have the right distances, and still end
in states that the teacher knows nothing of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Final

import numpy as np

from m3compress.analysis.frame_errors import FrameErrors, frame_errors
from m3compress.analysis.statistics.arms import compare_pairs, mean_with_interval
from m3compress.analysis.statistics.ratios import ratio_of_means
from m3compress.analysis.statistics.spread import mean_deviation
from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluation
from m3compress.contract.teacher import Teacher, ask
from m3compress.engines.dynamics.pool import Run
from m3compress.errors import M3CompressError
from m3compress.models.structures.frames import Named
from m3compress.units import MEV_PER_EV
from m3compress.validate.checks import dynamics, nve, properties, walls
from m3compress.validate.checks.building import Check, on_samples
from m3compress.validate.checks.runs import ARMS, Arm, Runs, displacements, times, unbroken
from m3compress.validate.checks.selection import largest
from m3compress.validate.rerun import command_of
from m3compress.validate.result import Measurement
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.recall import recall
from m3compress.validate.setup.subject import Subject

#: Frames of each trajectory that the teacher is asked about, the last one among them.
FRAMES: Final = 10
#: Mean errors below this part of the mean force count as this: ten times next to nothing is no
#: state that the teacher does not know.
_NO_ERROR: Final = 0.01
#: Atoms whose mean squared displacement stays below this (Å²) vibrate about their places.
_DIFFUSING: Final = 1.5

_WHOSE: Final[dict[Arm, str]] = {
    "reference": "the teacher's trajectories",
    "candidate": "its own trajectories",
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A trajectory of which both were asked.

    Attributes:
        run: The trajectory.
        times: Of the frames in ps, shape (n_frames,).
        errors: The student's.
    """

    run: Run
    times: FloatArray
    errors: FrameErrors


def teacher_of(context: Context) -> Teacher:
    """The teacher.

    Raises:
        M3CompressError: If the gate has none.
    """
    if context.teacher is None:
        raise M3CompressError("this gate has no teacher", hint="give --teacher TEACHER")
    return context.teacher


def _asked(context: Context, runs: Runs, arm: Arm) -> list[_Asked]:
    """What was found on the trajectories of an arm; a broken one counts as far as it goes.

    Raises:
        M3CompressError: If there is no frame, or one of the two has nothing to say of one.
    """
    found = recall(
        context,
        None,
        ("asked", runs.sample.name, arm),
        lambda: [_ask_both(context, run) for run in runs.nvt[arm] if run.frames],
    )
    if not found:
        broken = {run.broken for run in runs.nvt[arm]}
        raise M3CompressError(f"no trajectory came to its first frame: {broken}")
    return found


def _ask_both(context: Context, run: Run) -> _Asked:
    teacher, subject = teacher_of(context), context.candidate_subject
    n_frames = len(run.frames)
    rows = np.unique(np.linspace(0, n_frames - 1, min(FRAMES, n_frames)).round().astype(int))
    when = times(run)[rows]

    def both(row: int, time: float) -> tuple[Any, Evaluation, Evaluation]:
        atoms = run.frames[row]
        what = f"{teacher.name} on {run.job.name} at {time:g} ps"
        return atoms, subject.evaluate(atoms), ask(context.standard, atoms, what)

    return _Asked(run, when, frame_errors(both(*one) for one in zip(rows, when, strict=True)))


def _measured(found: tuple[float, float, float], scale: float, **evidence: Any) -> Measurement:
    """A number with its interval, in units of ``scale``, without its sign."""
    value, low, high = (one / scale for one in found)
    off, below, above = abs(value), value - low, high - value
    if value < 0:
        below, above = above, below
    return Measurement(
        value=off,
        interval=(max(0.0, off - below), off + above),
        evidence=evidence,
        needs="ps or replicas",
    )


def _force(found: Sequence[_Asked]) -> Measurement:
    """Mean |ΔF| in % of the teacher's mean |F|."""
    errors, scales = ([getattr(one.errors, n) for one in found] for n in ("force", "scale"))
    mae, scale = (MEV_PER_EV * float(np.concatenate(parts).mean()) for parts in (errors, scales))
    return _measured(
        ratio_of_means(errors, scales), 0.01, mae_meV_per_A=mae, mean_force_meV_per_A=scale
    )


def _offset(found: Sequence[_Asked]) -> Measurement:
    """|mean ΔE| in meV/atom."""
    return _measured(mean_with_interval([one.errors.energy for one in found]), 1 / MEV_PER_EV)


def _spread(found: Sequence[_Asked]) -> Measurement:
    """Mean |ΔE − mean ΔE| in meV/atom."""
    return _measured(mean_deviation([one.errors.energy for one in found]), 1 / MEV_PER_EV)


def _stress(found: Sequence[_Asked]) -> Measurement:
    """Mean |Δσ| in GPa."""
    return _measured(mean_with_interval([one.errors.stress for one in found]), 1.0)


def _on_frames(
    name: str, measures: str, arm: Arm, statistic: Callable[[Sequence[_Asked]], Measurement]
) -> Check:
    def measure(context: Context, runs: Runs) -> Measurement:
        found = _asked(context, runs, arm)
        n_frames = sum(len(one.times) for one in found)
        measured = statistic(found)
        evidence = {"n_frames": n_frames, "temperature_K": found[0].run.job.temperature}
        return measured.model_copy(
            update={
                "structure": runs.sample.name,
                "evidence": {**measured.evidence, **evidence},
            }
        )

    return on_samples(name, f"{measures} on {_WHOSE[arm]}", measure)


def _worst_frame(context: Context, runs: Runs) -> Measurement:
    """Largest error of a frame of the student's own over its mean error on the teacher's."""
    theirs, own = (_asked(context, runs, arm) for arm in ("reference", "candidate"))
    usual = float(np.concatenate([one.errors.force for one in theirs]).mean())
    scale = float(np.concatenate([one.errors.scale for one in theirs]).mean())
    worst = max(own, key=lambda one: one.errors.force.max())
    row = int(worst.errors.force.argmax())
    return Measurement(
        structure=runs.sample.name,
        value=largest(worst.errors.force) / max(usual, _NO_ERROR * scale),
        evidence={
            "run": worst.run.job.name,
            "time_ps": float(worst.times[row]),
            "mae_meV_per_A": MEV_PER_EV * float(worst.errors.force[row]),
            "usual_mae_meV_per_A": MEV_PER_EV * usual,
        },
        command=command_of(worst.run),
    )


def _diffusion(context: Context, runs: Runs) -> Iterator[Measurement]:
    """By how much the mean squared displacement of an element differs for sure, in %.

    Diffusion needs more time than a gate has: what noise explains is no finding, and what the runs
    would have seen is told beside it.
    """
    del context
    for symbol in sorted(set(runs.sample.atoms.symbols)):
        name = f"{runs.sample.name} {symbol}"
        ends = {
            arm: [displacements(run, symbol)[-1:] for run in unbroken(runs.nvt[arm])]
            for arm in ARMS
        }
        mean = float(np.mean(ends["reference"]))
        if mean < _DIFFUSING:
            yield Measurement(structure=name, skipped=f"{symbol} does not diffuse: {mean:.2g} Å²")
            continue
        found = compare_pairs(ends["candidate"], ends["reference"], mean / 100)
        yield Measurement(
            structure=name,
            value=found.interval[0],
            floor=found.floor,
            power=found.power,
            evidence={
                "difference": found.value,
                "interval": found.interval,
                "reference_A2": mean,
                "diffusion_A2_per_ps": {arm: _coefficient(runs.nvt[arm], symbol) for arm in ARMS},
            },
        )


def _coefficient(replicas: Sequence[Run], symbol: str) -> float:
    """Diffusion coefficient in Å²/ps, of the longer half of the lags; vibrations have no slope."""
    curves = [displacements(run, symbol) for run in replicas]
    lags = times(replicas[0])[: len(curves[0])]
    half = len(lags) // 2
    rise = float(np.mean([curve[-1] - curve[half] for curve in curves]))
    return rise / (6 * float(lags[-1] - lags[half]))


def _phase_energies(context: Context, subject: Subject) -> Iterator[Measurement]:
    """By how much the teacher's energies of two phases differ that the student has in wrong order.

    In meV/atom; phases are as given, and only those of one composition are compared.
    """
    alike = [
        (one, other)
        for one, other in combinations(context.crystals, 2)
        if _formula(one) == _formula(other)
    ]
    if not alike:
        yield Measurement(skipped="there are no two phases of one composition")
        return
    energies = {
        named.name: (
            MEV_PER_EV * subject.evaluate(named.atoms).energy / len(named.atoms),
            MEV_PER_EV * ask(context.standard, named.atoms, named.name).energy / len(named.atoms),
        )
        for named in {phase.name: phase for pair in alike for phase in pair}.values()
    }
    differences = {
        f"{one.name} - {other.name}": np.subtract(energies[one.name], energies[other.name])
        for one, other in alike
    }
    wrong = {name: abs(d[1]) for name, d in differences.items() if d[0] * d[1] <= 0}
    yield Measurement(
        value=largest(wrong.values()),
        evidence={
            "in_wrong_order": wrong,
            "differences_meV_per_atom": {
                name: dict(zip(("student", "teacher"), d.tolist(), strict=True))
                for name, d in differences.items()
            },
        },
    )


def _formula(named: Named) -> str:
    return str(named.atoms.symbols.formula.reduce()[0].format("hill"))


def _of_student(check: Check) -> Check:
    """A comparison with the reference, which the teacher is here, by limits of its own."""
    name, told = check.id.partition(".")[2], check.measures.replace("the reference", "the teacher")
    return replace(
        check,
        id=f"student.{name}",
        measures=told if told != check.measures else f"{told}, against the teacher",
    )


#: Judged as in every gate; the kinetic energy, by how much further it is from the ensemble than
#: that of the other arm, which is the teacher's here.
ALONE: Final = tuple(
    check
    for check in dynamics.CHECKS
    if check in nve.CHECKS or check.id in ("md.stability", "md.kinetic-energy")
)
#: What compares two arms of molecular dynamics: here, those of student and teacher.
_TWO_ARMS: Final = tuple(check for check in dynamics.CHECKS if check not in ALONE)

_MEASURED: Final = (
    ("force", "mean error of forces against the teacher", _force),
    ("energy-offset", "mean difference of energies from the teacher", _offset),
    ("energy-spread", "mean error of energies, but for that difference,", _spread),
    ("stress", "mean error of stresses against the teacher", _stress),
)

#: Static structures: cheap, and what fails here fails everywhere.
STATIC: Final[tuple[Check, ...]] = (
    *walls.CHECKS,
    Check(
        "student.phase-energies",
        "energies of phases of one composition that are in another order than the teacher's",
        _phase_energies,
    ),
    *map(_of_student, properties.CHECKS),
)

CHECKS: Final[tuple[Check, ...]] = (
    *(
        _on_frames(f"student.{'own-' * (arm == 'candidate')}{name}", measures, arm, statistic)
        for arm in reversed(ARMS)
        for name, measures, statistic in _MEASURED
    ),
    on_samples(
        "student.worst-frame",
        "error of forces of the worst frame of its own trajectories over the mean on the teacher's",
        _worst_frame,
    ),
    on_samples(
        "student.diffusion",
        "difference of the mean squared displacement of each element beyond the noise",
        _diffusion,
    ),
    *map(_of_student, _TWO_ARMS),
)
