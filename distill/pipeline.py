"""A distillation from structures to the file of a student.

Labels, then a training that is interrupted by rounds in which the student runs its own dynamics, is
judged, and gets the frames that are new to it. Whatever was done before a kill is found in the work
folder and not done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from m3compress.contract.evaluation import EvaluatorSpec
from m3compress.contract.teacher import Teacher
from m3compress.distill.budget import Budget, Steps, make_budget
from m3compress.distill.data.label_store import LabelStore, seconds_per_atom
from m3compress.distill.data.phases import DataPlan, plan_data
from m3compress.distill.data.plan import Group
from m3compress.distill.on_policy.round import OWN, RoundReport, Rounds
from m3compress.distill.outcome import record_of_training
from m3compress.distill.report import Distilled, Learned, Reporter
from m3compress.distill.settings import DistillSettings
from m3compress.distill.speed import compare_speed
from m3compress.distill.training.student import StudentTraining, seconds_per_step, settings_of
from m3compress.distill.work import decided_once
from m3compress.errors import M3CompressError, OutputExistsError
from m3compress.models.config import M3GNetConfig
from m3compress.models.potential import Potential
from m3compress.models.readers.matgl import FILES
from m3compress.models.spec import torch_threads
from m3compress.models.structures.frames import Named, require_known, require_periodic
from m3compress.models.writers.matgl import require_expressible

#: Makes a file of a student that runs fast, in a folder and of a name without its suffix, and says
#: how any process opens it; one that is there is taken as it is.
ExportsStudent = Callable[[Potential, Path, str], EvaluatorSpec]

#: The rounds are spread over this part of the training, so that new frames are learned well.
_ROUNDS_UNTIL: Final = 0.5
#: Frames that a user brings are labelled so many at a time.
_AT_ONCE: Final = 20


@dataclass(frozen=True)
class Distillation:
    """Everything that a distillation needs.

    Attributes:
        teacher: Who is copied.
        structures: The user's.
        settings: How.
        work: Folder, claimed.
        labels: Folder of the labels, which several students may share; that of the work by default.
        matgl: Folder that gets the student in matgl's format, too.
        decided: What fits in the time, where that is decided already.
        export: Exports a student: this room knows no engine.
        brought: Frames of the user's to learn, too; the teacher labels them.
        reporter: Who is told how far it is.
    """

    teacher: Teacher
    structures: Sequence[Named]
    settings: DistillSettings
    work: Path
    export: ExportsStudent
    brought: Sequence[Atoms] = ()
    reporter: Reporter = field(default_factory=Reporter)
    labels: Path | None = None
    matgl: Path | None = None
    decided: Budget | None = None

    @cached_property
    def config(self) -> M3GNetConfig:
        """Of the student's network."""
        structures = [entry.atoms for entry in self.structures]
        elements = sorted({symbol for atoms in structures for symbol in atoms.symbols})
        return self.settings.student.config(elements, self.teacher.cutoff, structures)

    @cached_property
    def budget(self) -> Budget:
        """What fits in the time, decided once."""
        if self.decided is not None:
            return self.decided
        document = decided_once(
            self.work, self.teacher, lambda: self.divide(self.seconds_of_teacher()).to_json()
        )
        return Budget.from_json(document)

    @cached_property
    def plan(self) -> DataPlan:
        """The frames that are there before the first round."""
        for number, frame in enumerate(self.brought):
            what = f"frame {number} of the labels"
            require_periodic(frame, what)
            require_known(frame, self.config.elements, what)
        plan = self.budget.plan(self.structures, self.teacher.cutoff, self.settings)
        given = {}
        for index, first in enumerate(range(0, len(self.brought), _AT_ONCE)):
            frames = self.brought[first : first + _AT_ONCE]
            group = Group(
                kind="brought", parent="user", split="train", n_frames=len(frames), index=index
            )
            given[group] = frames
        return plan.with_given(given)

    def run(self, output: Path, *, force: bool = False) -> Distilled:
        """Do it, and write the student.

        Args:
            output: ``NAME.m3c.safetensors``.
            force: Replace existing files.

        Raises:
            StructureError: If a split has no frames left.
            M3CompressError: If the time is too short, the teacher fails, or the training diverges.
        """
        self.require_expressible(force=force)
        self.announce_plan()
        self.announce_student()
        self.label()
        learned = self.learn()
        (speed,) = compare_speed([learned.artefact], self.teacher.spec, self.timed_on)
        return learned.written(output, speed, force=force, matgl=self.matgl)

    def require_expressible(self, *, force: bool) -> None:
        """Refuse a student that matgl cannot hold where that is asked for, or files in its way.

        Raises:
            UnsupportedModelError: If its architecture has no words in matgl.
            OutputExistsError: If a file is in the way and ``force`` is not given.
        """
        if self.matgl is None:
            return
        require_expressible(self.config, self.settings.student.three_body)
        for path in (self.matgl / name for name in FILES):
            if path.exists() and not force:
                raise OutputExistsError(f"{path} exists", hint="`--force` overwrites it")

    @property
    def store(self) -> LabelStore:
        """The labels that are there before the first round."""
        return LabelStore(self.labels or self.work, self.plan, self.teacher)

    @property
    def timed_on(self) -> Atoms:
        """The first phase."""
        return next(iter(self.plan.phases.values()))

    def label(self) -> None:
        """Label what is not labelled yet.

        Raises:
            M3CompressError: If the teacher fails, or a file cannot be written.
        """
        store = self.store
        store.fill(self.settings.threads, self.reporter.progress)
        for name, why in store.left_out():
            self.reporter.say("left out", f"{name}: {why}")

    def learn(self) -> Learned:
        """Train the student on what is labelled, and see where it goes by itself.

        Raises:
            StructureError: If a split has no frames left.
            M3CompressError: If the teacher fails, or the training diverges.
        """
        store = self.store
        with torch_threads(self.settings.threads):
            training = self._begin(store)
            reports, store = self._train(training, store)
            return Learned(
                potential=training.potential,
                artefact=self._exported(training, len(reports), self.budget.steps),
                record=record_of_training(training, store, reports, self.settings.minutes),
                rounds=tuple(reports),
            )

    def _begin(self, store: LabelStore) -> StudentTraining:
        return StudentTraining.begin(
            self.settings.student,
            self.config,
            store.read("train"),
            self.budget.steps,
            self.settings.seed,
            self.work / "training.pt",
            compiled=self.budget.compiled,
        )

    def _train(
        self, training: StudentTraining, store: LabelStore
    ) -> tuple[list[RoundReport], LabelStore]:
        rounds = Rounds(
            how=self.budget.own_dynamics(self.settings),
            folder=self.work / "own",
            n_workers=self.settings.threads,
            progress=self.reporter.progress,
        )
        reports: list[RoundReport] = []
        n_rounds, steps = self.settings.rounds, self.budget.steps
        for number in range(1, n_rounds + 1):
            until = round(_ROUNDS_UNTIL * steps * number / n_rounds)
            report, store = self._round(training, store, rounds, number, until)
            reports.append(report)
            if not report.n_wrong:
                break
        report, store = self._round(training, store, rounds, len(reports) + 1, steps)
        return [*reports, report], store

    def _round(
        self,
        training: StudentTraining,
        store: LabelStore,
        rounds: Rounds,
        number: int,
        until: int,
    ) -> tuple[RoundReport, LabelStore]:
        """Train to so many steps, then see where the student goes."""
        learn = until < self.budget.steps
        training.advance(
            store.read("train"),
            store.read("validation", without=(OWN,)),
            until,
            lambda run: self.reporter.epoch(run, self.budget.steps),
        )
        student = self._exported(training, number, until)
        report, store = rounds(number, until, student, store, learn=learn)
        self.reporter.say(f"round {number}" if learn else "trained", str(report))
        return report, store

    def _exported(self, training: StudentTraining, number: int, until: int) -> EvaluatorSpec:
        """The student as it is after so many steps: a later one finds the file of that time."""
        folder, name = self.work / "own", f"student-{number}"
        kept = [path for path in folder.glob(f"{name}.m3c.*") if path.suffix != ".json"]
        if training.run.steps != until and not kept:
            raise M3CompressError(
                f"{folder / name} is missing: the student after {until} steps, which has learned "
                "since",
                hint="remove the work folder, and begin anew",
            )
        return self.export(training.potential, folder, name)

    def seconds_of_teacher(self) -> float:
        """Of the teacher per atom and evaluation, measured here."""
        return seconds_per_atom(self.teacher, self._whole)

    def divide(self, teacher_seconds: float) -> Budget:
        """The budget, from what teacher and training take here.

        Args:
            teacher_seconds: :meth:`seconds_of_teacher`.

        Raises:
            M3CompressError: If the time is too short for one epoch.
        """
        frames = [_anyhow(atoms) for atoms in self._whole.phases.values()]
        student = self.settings.student

        def step_times(steps: Steps) -> tuple[float, float]:
            compiled = steps == "compiled"
            if compiled:
                self.reporter.say("time", "compiling the steps of the training, to time one")
            began = time.perf_counter()
            with torch_threads(self.settings.threads):
                seconds = seconds_per_step(student, self.config, frames, compiled=compiled)
            return seconds, time.perf_counter() - began

        return make_budget(
            self.structures,
            self.teacher.cutoff,
            self.settings,
            teacher_seconds,
            step_times,
            settings_of(student, frames, 1, 0).batch_size,
            self.brought,
        )

    @cached_property
    def _whole(self) -> DataPlan:
        """All frames of the settings, whether they fit in the time or not."""
        return plan_data(self.structures, self.teacher.cutoff, self.settings.sampling)

    def announce_plan(self) -> None:
        """Say what will be labelled."""
        say = self.reporter.say
        say("teacher", f"{self.teacher.name}, cutoff {self.teacher.cutoff:g} Å")
        for line in self.plan.describe():
            say("plan", line)
        part = self.budget.frames
        if part < 1:
            say("plan", f"that is {100 * part:.0f} % of the trajectories, which fit in the time")

    def announce_student(self) -> None:
        """Say what will be trained, and how long all of it takes."""
        say, budget, config = self.reporter.say, self.budget, self.config
        say(
            "student",
            f"{config.n_blocks} blocks, {config.node_width} wide, cutoff {config.cutoff:g} Å, "
            f"{self.settings.student.training.optimizer}",
        )
        say(
            "time",
            f"about {budget.minutes:.3g} min: labels {budget.label_seconds / 60:.2g}, "
            f"{self.settings.rounds} rounds {budget.own_seconds / 60:.2g}, training "
            f"{budget.training_seconds / 60:.2g} ({budget.steps:,} {'compiled ' * budget.compiled}"
            f"steps of {1e3 * budget.step_seconds:.0f} ms, "
            f"{budget.steps / budget.epoch:.3g} epochs)",
        )


def _anyhow(atoms: Atoms) -> Atoms:
    """A copy that is labelled with anything: what a step takes does not depend on the labels."""
    frame = atoms.copy()
    frame.rattle(0.05, seed=1)
    rng = np.random.default_rng(1)
    frame.calc = SinglePointCalculator(
        frame, energy=0.0, forces=rng.normal(size=(len(frame), 3)), stress=np.zeros(6)
    )
    return frame
