"""What fits in the time: how many frames, how long the student's own dynamics, how many steps.

All of it is decided before anything is computed, from what an evaluation of the teacher and a step
of the training were measured to take, and is kept: a distillation that is taken up again, on a
slower machine even, is the one that was planned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, Self

from ase import Atoms

from m3compress.distill.data.phases import DataPlan, plan_data
from m3compress.distill.data.plan import Split, of_split
from m3compress.distill.on_policy.dynamics import own_trajectories
from m3compress.distill.on_policy.settings import OwnDynamics
from m3compress.distill.settings import DistillSettings
from m3compress.distill.training.compiled import compiler
from m3compress.distill.training.schedule import steps_of
from m3compress.errors import M3CompressError
from m3compress.models.structures.frames import Named

#: Parts of the time that labels, and the student's own dynamics, may take.
_LABELS: Final = 0.4
_OWN: Final = 0.25
#: What a student is taken to need of the teacher's time: most need less.
_STUDENT: Final = 0.2
#: Seconds of a step of dynamics that are not the evaluation.
_STEP: Final = 1.5e-3
#: Seconds to export and open a student.
_EXPORT: Final = 8.0
#: Part of the time of a first compilation that the training itself needs for another of the like.
_COMPILED_AGAIN: Final = 0.3
#: A compiled step takes about half of the time of another, and never less than this part.
_COMPILED: Final = 0.25
#: Trainings of so many seconds are compiled by default.
_WORTH_COMPILING: Final = 900.0
#: Part of a training that validates and writes checkpoints.
_WATCH: Final = 0.06

Steps = Literal["eager", "compiled"]
#: Seconds of a step of a kind, and those that it took to find out.
StepTimes = Callable[[Steps], tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What was decided.

    Attributes:
        frames: Part of the frames of the settings that is made.
        own: Part of the student's own dynamics that is run.
        steps: Of the training.
        epoch: Steps of a pass over the first frames.
        label_seconds: For the labels of the first frames.
        own_seconds: For all rounds.
        step_seconds: For a step of the training.
        compiled: Whether steps are compiled first.
        compile_seconds: For that, here and in the training.
    """

    frames: float
    own: float
    steps: int
    epoch: int
    label_seconds: float
    own_seconds: float
    step_seconds: float
    compiled: bool = False
    compile_seconds: float = 0.0

    @property
    def training_seconds(self) -> float:
        """For the training, and for compiling it."""
        return self.steps * self.step_seconds * (1 + _WATCH) + self.compile_seconds

    @property
    def minutes(self) -> float:
        """For all of it."""
        return (self.label_seconds + self.own_seconds + self.training_seconds) / 60

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Inverse of :meth:`to_json`.

        Raises:
            M3CompressError: If it is the document of something else.
        """
        try:
            return cls(**document)
        except TypeError as error:
            raise M3CompressError(
                f"this is not the budget of a distillation: {error}",
                hint="remove the work folder, and begin anew",
            ) from error

    def plan(
        self, structures: Sequence[Named], cutoff: float, settings: DistillSettings
    ) -> DataPlan:
        """The frames that are made."""
        return _plan(structures, cutoff, settings, self.frames)

    def own_dynamics(self, settings: DistillSettings) -> OwnDynamics:
        """How far the student goes."""
        return settings.own.scaled(self.own)


def make_budget(
    structures: Sequence[Named],
    cutoff: float,
    settings: DistillSettings,
    teacher_seconds: float,
    step_times: StepTimes,
    batch_size: int,
    brought: Sequence[Atoms] = (),
) -> Budget:
    """Divide the time.

    Args:
        structures: The user's.
        cutoff: Of the teacher in Å.
        settings: What is wanted.
        teacher_seconds: Of the teacher per atom and evaluation.
        step_times: Of the training; asked for compiled steps only where they would be worth it.
        batch_size: Frames in a batch.
        brought: Frames that the teacher labels besides those of the plan.

    Raises:
        M3CompressError: If the time is too short for one epoch.
    """
    total = 60 * settings.minutes
    n_brought = sum(len(frame) for frame in brought)
    part, labels = _fitting(
        lambda part: _plan(structures, cutoff, settings, part).seconds(
            teacher_seconds, settings.threads, also=n_brought
        ),
        _LABELS * total,
    )
    plan = _plan(structures, cutoff, settings, part)
    own_part, own = _fitting(
        lambda part: _own_seconds(plan, settings, settings.own.scaled(part), teacher_seconds),
        _OWN * total,
    )
    n_frames = sum(group.n_frames for group in of_split(plan.groups, "train")) + len(brought)
    epoch = steps_of(1, n_frames, batch_size)
    left = total - labels - own
    wanted = None if settings.epochs is None else settings.epochs * epoch
    step_seconds, compile_seconds = step_times("eager")[0], 0.0
    compiled = _is_compiled(settings, left if wanted is None else wanted * step_seconds)
    if compiled:
        if wanted is None:
            # Minutes of compiling change nothing where not even the fastest steps would be enough.
            _require_an_epoch(total, labels, own, left, epoch * _COMPILED * step_seconds)
        quick, spent = step_times("compiled")
        # Compiled steps run on one thread: with many, PyTorch's own may be faster.
        compiled = settings.student.training.compiled is True or quick < step_seconds
        step_seconds = quick if compiled else step_seconds
        compile_seconds = (1 + _COMPILED_AGAIN * compiled) * spent
        left -= compile_seconds
    if wanted is None:
        _require_an_epoch(total, labels, own, left, epoch * step_seconds)
    steps = math.floor(left / (step_seconds * (1 + _WATCH))) if wanted is None else wanted
    return Budget(
        frames=part,
        own=own_part,
        steps=steps,
        epoch=epoch,
        label_seconds=labels,
        own_seconds=own,
        step_seconds=step_seconds,
        compiled=compiled,
        compile_seconds=compile_seconds,
    )


def _require_an_epoch(total: float, labels: float, own: float, left: float, epoch: float) -> None:
    """Refuse a time of which too little is left; all in seconds.

    Args:
        total: All of it.
        labels: What labels take.
        own: What the student's own dynamics take.
        left: What is left for the training.
        epoch: What an epoch takes, without its checks.
    """
    least = epoch * (1 + _WATCH)
    if left < least:
        needed = (total - left + least) / 60
        raise M3CompressError(
            f"{total / 60:g} minutes are too short for one epoch: labels take {labels:.0f} s, the "
            f"student's own dynamics {own:.0f} s, an epoch {epoch:.0f} s",
            hint=f"give at least {math.ceil(10 * needed) / 10:g} minutes, fewer rounds, or a "
            "smaller student",
        )


def _is_compiled(settings: DistillSettings, seconds: float) -> bool:
    """Whether a training that would take so long otherwise is compiled."""
    wanted = settings.student.training.compiled
    if wanted is None:
        return seconds >= _WORTH_COMPILING and compiler() is not None
    return wanted


def _plan(
    structures: Sequence[Named], cutoff: float, settings: DistillSettings, part: float
) -> DataPlan:
    amounts = settings.sampling.amounts.scaled(part) if part < 1 else settings.sampling.amounts
    return plan_data(structures, cutoff, replace(settings.sampling, amounts=amounts))


def _fitting(seconds: Callable[[float], float], most: float) -> tuple[float, float]:
    """Largest part (1, then ever smaller) that takes at most so long, and how long it takes.

    The smallest one counts if even that takes longer.
    """
    part = 1.0
    took = seconds(part)
    while took > most and part > 0.02:
        part *= 0.8
        took = seconds(part)
    return part, took


def _own_seconds(
    plan: DataPlan, settings: DistillSettings, own: OwnDynamics, teacher_seconds: float
) -> float:
    """For all rounds and the last look, which learns nothing."""
    seconds = 0.0
    for number in range(1, settings.rounds + 2):
        last = number > settings.rounds
        splits: tuple[Split, ...] = ("validation",) if last else ("validation", "train")
        for one in own_trajectories(plan, own, number, splits):
            n_atoms = len(plan.phases[one.parent])
            labels = own.steps / own.every / own.judged if one.split == "validation" else 0
            step = _STEP + _STUDENT * teacher_seconds * n_atoms
            seconds += own.steps * step + labels * teacher_seconds * n_atoms
        atoms = max(len(atoms) for atoms in plan.phases.values())
        seconds += 0.0 if last else own.frames * teacher_seconds * atoms
        seconds += _EXPORT * settings.threads
    return seconds / settings.threads
