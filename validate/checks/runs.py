"""The molecular dynamics of a gate: which runs there are, made once and read by every check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal
from zlib import crc32

import numpy as np
from ase import units

from m3compress.analysis.observables.displacement import mean_squared_displacement
from m3compress.analysis.statistics.arms import Comparison
from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import EvaluatorSpec
from m3compress.engines.dynamics.job import Ensemble, Job
from m3compress.engines.dynamics.pool import Run, run_jobs
from m3compress.errors import M3CompressError
from m3compress.models.structures.frames import Named
from m3compress.validate.result import Measurement
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.recall import recall

Arm = Literal["candidate", "reference"]
ARMS: Final[tuple[Arm, Arm]] = ("candidate", "reference")
ENSEMBLES: Final[tuple[Ensemble, ...]] = ("nvt", "npt", "nve")
#: What their lines are called in figures.
LABELS: Final[dict[Arm, str]] = {"candidate": "artefact", "reference": "reference"}

#: Frames are this far apart in fs: vibrations up to 50 THz are resolved.
_FRAME_SPACING = 10.0
_TIMESTEP, _TIMESTEP_WITH_HYDROGEN = 2.0, 0.5  # fs, of MLIP Arena
_LAW_DURATION = 0.1  # ps


@dataclass(frozen=True)
class Runs:
    """The runs of one structure.

    Attributes:
        sample: The structure.
        made: Those of an arm in an ensemble, in the order of :func:`plan`.
    """

    sample: Named
    made: Callable[[Arm, Ensemble], tuple[Run, ...]]

    @property
    def nvt(self) -> Mapping[Arm, tuple[Run, ...]]:
        """Replicas of each arm."""
        return {arm: self.made(arm, "nvt") for arm in ARMS}

    @property
    def npt(self) -> Mapping[Arm, tuple[Run, ...]]:
        """Replicas of each arm; none if the profile has none."""
        return {arm: self.made(arm, "npt") for arm in ARMS}

    @property
    def nve(self) -> Run:
        """Of the candidate."""
        return self.made("candidate", "nve")[0]

    @property
    def law(self) -> tuple[Run, ...]:
        """Of the candidate with shorter and shorter time steps."""
        return self.made("candidate", "nve")[1:]

    def all_of(self, arm: Arm) -> tuple[Run, ...]:
        """Every run of an arm."""
        return tuple(run for ensemble in ENSEMBLES for run in self.made(arm, ensemble))


def runs_of(context: Context) -> tuple[Runs, ...]:
    """The runs of every sample, made or taken up again where they are not finished."""
    samples = context.samples
    return recall(
        context, None, ("runs",), lambda: tuple(Runs(s, partial(_of, context, s)) for s in samples)
    )


def _of(context: Context, sample: Named, arm: Arm, ensemble: Ensemble) -> tuple[Run, ...]:
    start = f"{sample.name}-{arm}-"
    done = _finished(context, ensemble)
    return tuple(
        run for job, run in done if job.name.startswith(start) and job.ensemble == ensemble
    )


def _finished(context: Context, ensemble: Ensemble) -> list[tuple[Job, Run]]:
    """What was planned, with what became of it: all of it at once, so that no process waits twice.

    What stands in for a file may be seen in the first ensemble, and then needs no other.
    """
    wanted = ENSEMBLES if context.stand_in is None else (ensemble,)

    def make() -> list[tuple[Job, Run]]:
        jobs = [job for job in plan(context).values() if job.ensemble in wanted]
        done = run_jobs(jobs, context.trajectories, context.n_workers, context.progress)
        return list(zip(jobs, done, strict=True))

    return recall(context, None, ("finished", wanted), make)


def plan(context: Context) -> dict[str, Job]:
    """All runs of a gate by name."""
    return {job.name: job for sample in context.samples for job in _jobs(context, sample)}


def _jobs(context: Context, sample: Named) -> Iterator[Job]:
    profile = context.profile
    timestep = timestep_of(context, sample)
    for arm in ARMS:
        for replica in range(profile.n_replicas):
            yield _job(context, sample, arm, "nvt", replica, timestep, profile.duration)
            if profile.npt_duration:
                yield _job(context, sample, arm, "npt", replica, timestep, profile.npt_duration)
    yield _job(context, sample, "candidate", "nve", 0, timestep / 2, profile.nve_duration)
    for index, factor in enumerate(profile.law_factors):
        # Without equilibration and with one seed, all start from the same state.
        yield replace(
            _job(context, sample, "candidate", "nve", 0, timestep * factor, _LAW_DURATION),
            name=f"{sample.name}-candidate-law-{index}",
            equilibration=0,
            every=round(1 / factor),
        )


def _job(
    context: Context,
    sample: Named,
    arm: Arm,
    ensemble: Ensemble,
    replica: int,
    timestep: float,
    duration: float,
) -> Job:
    profile = context.profile
    name = f"{sample.name}-{arm}-{ensemble}-{replica}"
    # The same random numbers drive both arms, which are compared pair by pair.
    noise = f"{sample.name}-{ensemble}-{replica}"
    every = max(1, round(_FRAME_SPACING / timestep))
    steps = max(every, round(duration * 1e3 / timestep / every) * every)
    job = Job(
        name=name,
        evaluator=_spec(context, arm),
        structure=sample.atoms,
        ensemble=ensemble,
        temperature=profile.temperature,
        pressure=profile.pressure,
        timestep=timestep,
        equilibration=round(profile.equilibration * 1e3 / timestep),
        steps=steps,
        every=every,
        seed=crc32(f"{noise}/{context.seed}".encode()),
        friction=profile.friction,
    )
    return context.stand_in.alter(job) if context.stand_in and arm == "candidate" else job


def _spec(context: Context, arm: Arm) -> EvaluatorSpec:
    """Who moves an arm; the reference in the precision in which it was trained."""
    if arm == "candidate":
        return context.candidate
    if context.teacher is not None:
        return context.teacher.spec
    return replace(context.reference, precision="float32")


def timestep_of(context: Context, sample: Named) -> float:
    """Time step of NVT and NPT in fs."""
    if context.profile.timestep is not None:
        return context.profile.timestep
    return _TIMESTEP_WITH_HYDROGEN if 1 in sample.atoms.numbers else _TIMESTEP


def times(run: Run) -> FloatArray:
    """Time of every frame in ps, shape (n_frames,)."""
    return np.array([frame.info["time_fs"] for frame in run.frames]) * 1e-3


def total_energies(run: Run) -> FloatArray:
    """Potential and kinetic energy in eV, shape (n_frames,)."""
    return np.array([f.info["potential_energy"] + f.info["kinetic_energy"] for f in run.frames])


def temperatures(run: Run) -> FloatArray:
    """In K, from all 3N momenta, shape (n_frames,)."""
    n_atoms = len(run.job.structure)
    kinetic = np.array([f.info["kinetic_energy"] for f in run.frames])
    return np.asarray(kinetic / (1.5 * units.kB * n_atoms))


def displacements(run: Run, symbol: str | None = None) -> FloatArray:
    """Mean squared displacement in Å² of an element, or of all atoms, for every lag.

    Up to half of the run: longer lags are averages over next to nothing.
    """
    positions = np.array([frame.positions for frame in run.frames])
    atoms = run.job.structure
    chosen = slice(None) if symbol is None else np.array(atoms.symbols) == symbol
    whole = mean_squared_displacement(positions, atoms.get_masses(), chosen)
    return whole[: max(2, len(whole) // 2)]


def drift(
    found: Comparison, name: str, evidence: dict[str, Any], needs: str = "ps or replicas"
) -> Measurement:
    """What two arms say of each other, as a measurement; see there for ``needs``."""
    return Measurement(
        structure=name,
        value=found.value,
        interval=found.interval,
        floor=found.floor,
        power=found.power,
        evidence=evidence,
        needs=needs,
    )


def unbroken(runs: tuple[Run, ...]) -> tuple[Run, ...]:
    """The runs, if all of them came to their end.

    Raises:
        M3CompressError: If one broke, and why.
    """
    for run in runs:
        if run.broken:
            raise M3CompressError(f"a run broke: {run.job.name}: {run.broken}")
    return runs
