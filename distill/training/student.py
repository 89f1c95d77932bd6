"""A student from labels to weights, in stages: each may add frames, none begins anew."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from ase import Atoms

from m3compress.contract.arrays import FloatArray
from m3compress.distill.data.batches import Batch, fit_references, join, to_batch
from m3compress.distill.data.labels import largest_force
from m3compress.distill.losses import HuberLoss, is_curved
from m3compress.distill.students import Student
from m3compress.distill.training.compiled import compile_step
from m3compress.distill.training.initial import initial_network
from m3compress.distill.training.loop import Settings, mean_errors, take_step, train
from m3compress.distill.training.run import Run, begin
from m3compress.distill.training.schedule import Schedule
from m3compress.distill.training.step import Step, eager_step
from m3compress.errors import M3CompressError
from m3compress.models.config import M3GNetConfig
from m3compress.models.potential import Potential
from m3compress.models.student_record import Errors

#: Frames with a larger force (eV/Å) are walls: they say nothing of the energies of the elements,
#: nor of how large forces usually are, and count the less in the loss the larger theirs are.
CALM: Final = 20.0
#: Frames that are watched during the training; all are asked at its end.
_WATCHED: Final = 48
#: Steps that are timed, after the same number that are not.
_TIMED: Final = 5

AfterEpoch = Callable[[Run], None]


@dataclass(frozen=True)
class StudentTraining:
    """A student in training, with a checkpoint that a killed training goes on from.

    On one thread, the result of one that goes on is that of an uninterrupted one.

    Attributes:
        run: Its state.
        step: Loss and gradients of a batch by its network.
        student: What it is.
        config: Of its network.
        settings: Of the loop.
        checkpoint: File; whoever names it answers for that it is of the same training.
    """

    run: Run
    step: Step
    student: Student
    config: M3GNetConfig
    settings: Settings
    checkpoint: Path

    @classmethod
    def begin(
        cls,
        student: Student,
        config: M3GNetConfig,
        frames: Sequence[Atoms],
        steps: int,
        seed: int,
        checkpoint: Path,
        *,
        compiled: bool = False,
    ) -> StudentTraining:
        """A training before its first step, or where its checkpoint is.

        Args:
            student: What to train.
            config: Of its network.
            frames: Labelled ones of the first stage; the calm ones among them decide the energies
                of the elements and the scale of the network.
            steps: Length of the training.
            seed: Of weights and order.
            checkpoint: Where it is kept.
            compiled: Whether to compile its steps, which takes minutes.

        Raises:
            M3CompressError: If the checkpoint cannot be read, or belongs to something else, or
                if there is no compiler.
        """
        settings = settings_of(student, frames, steps, seed)
        run = _begin(student, config, frames, settings)
        if checkpoint.exists():
            run.load(checkpoint)
        step = eager_step(run.network, settings.loss)
        if compiled and run.steps < steps:
            step = compile_step(
                run.network, settings.loss, _usual_batch(config, frames, run, settings)
            )
        return cls(run, step, student, config, settings, checkpoint)

    @property
    def is_done(self) -> bool:
        """Whether the schedule is at its end."""
        return self.run.steps >= self.settings.schedule.steps

    @property
    def potential(self) -> Potential:
        """The averaged weights as a potential."""
        return self.run.potential(self.student.three_body)

    def advance(
        self,
        frames: Sequence[Atoms],
        held_back: Sequence[Atoms],
        until: int,
        after_epoch: AfterEpoch | None = None,
    ) -> None:
        """Train to so many steps.

        Args:
            frames: Labelled ones to learn from.
            held_back: Labelled ones to watch; every n-th of many.
            until: Steps, counted from the beginning of the training.
            after_epoch: Told the state of the training after each epoch.

        Raises:
            M3CompressError: If the training diverged, or a checkpoint cannot be written.
        """
        if self.run.steps >= until:
            return
        learned = self._batches(frames)
        if is_curved(self.settings.loss.terms) and not any(
            torch.isfinite(batch.curvatures).any() for batch in learned
        ):
            raise M3CompressError(
                "the loss asks for curvatures, and no frame has them",
                hint="label them (`curved` of the sampling), or leave them out of the loss",
            )
        watched = held_back[:: max(1, len(held_back) // _WATCHED)]
        train(
            self.run,
            self.step,
            learned,
            self._batches(watched),
            self.settings,
            checkpoint=self.checkpoint,
            until=until,
            after_epoch=after_epoch,
        )
        if not all(math.isfinite(value) for value in self.run.history[-1].values()):
            raise M3CompressError(
                f"the training diverged: its last epoch ended with {self.run.history[-1]}",
                hint=f"lower the learning rate; its checkpoint is {self.checkpoint}",
            )

    def _batches(self, frames: Sequence[Atoms]) -> list[Batch]:
        return _batches(frames, self.config, self.run.references)


def settings_of(student: Student, frames: Sequence[Atoms], steps: int, seed: int) -> Settings:
    """The settings of the loop."""
    recipe = student.training
    size = float(np.mean([len(frame) for frame in frames]))
    return Settings(
        schedule=Schedule(steps=steps, learning_rate=recipe.learning_rate, warm_up=recipe.warm_up),
        loss=HuberLoss(terms=recipe.loss, form=student.three_body),
        batch_size=max(1, round(recipe.batch_atoms / size)),
        decay=recipe.decay,
        seed=seed,
    )


def seconds_per_step(
    student: Student, config: M3GNetConfig, frames: Sequence[Atoms], *, compiled: bool = False
) -> float:
    """For one step of a training on frames like these, on a quiet machine.

    On one thread it is the processor's time, since other programs slow the clock only.

    Args:
        student: What would be trained.
        config: Of its network.
        frames: Labelled ones; the labels do not matter.
        compiled: Whether steps are; then this takes minutes.
    """
    settings = settings_of(student, frames, 1000, 0)
    run = _begin(student, config, frames, settings)
    batches = _batches(frames, config, run.references)
    joined = join([batches[i % len(batches)] for i in range(settings.batch_size)])
    if compiled:
        step = compile_step(run.network, settings.loss, joined)
    else:
        step = eager_step(run.network, settings.loss)
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    took: list[float] = []
    for _ in range(2 * _TIMED):
        began = clock()
        take_step(run, step, joined, settings)
        took.append(clock() - began)
    return float(np.mean(took[_TIMED:]))


def measure(potential: Potential, frames: Sequence[Atoms]) -> Errors:
    """Mean absolute errors of a student on labelled frames, in float32.

    Args:
        potential: The student.
        frames: That it was not trained on.
    """
    batches = _batches(frames, potential.config, potential.element_energies)
    return Errors(**mean_errors(potential.network, batches, potential.form))


def _begin(
    student: Student, config: M3GNetConfig, frames: Sequence[Atoms], settings: Settings
) -> Run:
    """A training before its first step; element energies and scale are those of calm frames."""
    calm = [frame for frame in frames if largest_force(frame) <= CALM] or list(frames)
    references = fit_references(calm, config.elements)
    batches = _batches(calm, config, references)
    return begin(
        initial_network(config, batches, seed=settings.seed),
        references,
        decay=settings.decay,
        learning_rate=settings.schedule.learning_rate,
        optimizer=student.training.optimizer,
    )


def _usual_batch(
    config: M3GNetConfig, frames: Sequence[Atoms], run: Run, settings: Settings
) -> Batch:
    """A batch of the frames in the middle, by atoms: the compiler knows no other sizes as well."""
    first = max(0, (len(frames) - settings.batch_size) // 2)
    usual = sorted(frames, key=len)[first : first + settings.batch_size]
    return join(_batches(usual, config, run.references))


def _batches(frames: Sequence[Atoms], config: M3GNetConfig, references: FloatArray) -> list[Batch]:
    return [to_batch(frame, config, references, calm=CALM) for frame in frames]
