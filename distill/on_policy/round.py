"""A round: the student's own trajectories, whether it is right there, and what it is to learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms

from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluator, EvaluatorSpec
from m3compress.contract.progress import Progress, silent
from m3compress.distill.data.label_store import LabelStore
from m3compress.distill.data.plan import Group, Split
from m3compress.distill.on_policy.dynamics import OwnTrajectory, own_trajectories
from m3compress.distill.on_policy.judge import FrameError, Judged, frame_error, judge, pooled
from m3compress.distill.on_policy.novelty import most_novel, surroundings
from m3compress.distill.on_policy.settings import OwnDynamics
from m3compress.engines.dynamics.pool import Run, run_jobs

OWN: Final = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport:
    """What a round found.

    Attributes:
        number: From 1; the one that follows the last step of the training is the last.
        steps: Of the training before it.
        validation: Error on the teacher's trajectories.
        own: Error on the frames of the student's own that were held back, where there are any.
        limit: Largest error of a frame in % that is not wrong.
        judged: Trajectories that were held back.
        n_learned: New frames to learn.
    """

    number: int
    steps: int
    validation: FrameError
    own: FrameError | None
    limit: float
    judged: tuple[Judged, ...]
    n_learned: int

    @property
    def n_wrong(self) -> int:
        """Trajectories held back in which the student is wrong."""
        return sum(one.wrong for one in self.judged)

    @property
    def worst(self) -> FrameError | None:
        """The worst of all frames held back."""
        errors = [one.worst for one in self.judged if one.worst is not None]
        return max(errors, key=lambda error: error.percent, default=None)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "judged": [asdict(one) for one in self.judged]}

    def __str__(self) -> str:
        """One line."""
        parts = [f"{self.n_wrong} of {len(self.judged)} own trajectories wrong"]
        broken = sum(bool(one.broken) for one in self.judged)
        if broken:
            parts[0] += f" ({broken} broke)"
        if self.worst is not None:
            parts.append(f"worst frame {self.worst.mae:.0f} meV/Å ({self.worst.percent:.1f} %)")
        if self.own is not None:
            parts.append(f"own frames {self.own.mae:.1f} meV/Å ({self.own.percent:.1f} %)")
        parts.append(f"teacher's {self.validation.mae:.1f} meV/Å ({self.validation.percent:.1f} %)")
        if self.n_learned:
            parts.append(f"{self.n_learned} frames to learn")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """Makes the rounds of a distillation; each is taken up again where it was killed.

    Attributes:
        how: How far the student goes.
        folder: Keeps its trajectories.
        n_workers: Processes side by side.
        progress: Told what is running.
    """

    how: OwnDynamics
    folder: Path
    n_workers: int = 1
    progress: Progress = silent

    def __call__(
        self, number: int, steps: int, student: EvaluatorSpec, store: LabelStore, *, learn: bool
    ) -> tuple[RoundReport, LabelStore]:
        """Run a student, judge it, and choose what it learns.

        Args:
            number: Of the round, from 1.
            steps: Of the training so far.
            student: It, as it is now.
            store: Labels so far.
            learn: Whether there will be more training.

        Returns:
            What was found, and the labels with those of the new frames, all there.

        Raises:
            M3CompressError: If a worker dies, or a file cannot be written.
        """
        splits: tuple[Split, ...] = ("validation", "train") if learn else ("validation",)
        own = own_trajectories(store.plan, self.how, number, splits)
        jobs = [one.job(store.plan, self.how, student) for one in own]
        runs = run_jobs(jobs, self.folder, self.n_workers, self.progress)
        pairs = list(zip(own, runs, strict=True))
        held, given = {}, {}
        for one, run in pairs:
            if one.split == "validation":
                frames = run.frames[self.how.judged - 1 :: self.how.judged]
                group = _group(one, frames)
                held[group] = (one, run)
                given.update({group: frames} if frames else {})
        learned = self._choose([pair for pair in pairs if pair[0].split == "train"], store)
        grown = replace(store, plan=store.plan.with_given({**given, **learned}))
        grown.fill(self.n_workers, self.progress)
        report = self._report(number, steps, student.with_threads(1).open(), grown, held)
        n_learned = sum(len(grown.frames.read([group])) for group in learned)
        return replace(report, n_learned=n_learned), grown

    def _choose(
        self, pairs: Sequence[tuple[OwnTrajectory, Run]], store: LabelStore
    ) -> dict[Group, list[Atoms]]:
        """The most novel frames of trajectories, as groups."""
        frames = [
            (row, frame)
            for row, (_, run) in enumerate(pairs)
            for frame in run.frames
            if np.isfinite(frame.positions).all()
        ]
        if not frames:
            return {}

        def seen(frame: Atoms) -> FloatArray:
            return surroundings(frame, store.plan.elements, store.teacher.cutoff)

        chosen = most_novel(
            [seen(frame) for _, frame in frames],
            [row for row, _ in frames],
            np.concatenate([seen(frame) for frame in store.read("train")]),
            self.how.frames,
            max(1, 2 * self.how.frames // len(pairs)),
        )
        groups: dict[Group, list[Atoms]] = {}
        for row, (one, _) in enumerate(pairs):
            mine = [frames[index][1] for index in sorted(chosen) if frames[index][0] == row]
            if mine:
                groups[_group(one, mine)] = mine
        return groups

    def _report(
        self,
        number: int,
        steps: int,
        student: Evaluator,
        store: LabelStore,
        held: Mapping[Group, tuple[OwnTrajectory, Run]],
    ) -> RoundReport:
        validation = pooled(
            [frame_error(student, frame) for frame in store.read("validation", without=(OWN,))]
        )
        limit = self.how.limit * validation.percent
        judged, everything = [], []
        for group, (one, run) in held.items():
            frames = store.frames.read([group]) if group.n_frames else []
            errors = [frame_error(student, frame) for frame in frames]
            missing = group.n_frames - len(frames)
            judged.append(judge(one.name, run.broken, missing, errors, limit))
            everything += errors
        return RoundReport(
            number=number,
            steps=steps,
            validation=validation,
            own=pooled(everything) if everything else None,
            limit=limit,
            judged=tuple(judged),
            n_learned=0,
        )


def _group(one: OwnTrajectory, frames: Sequence[Atoms]) -> Group:
    return Group(
        kind=OWN,
        parent=one.parent,
        split=one.split,
        temperature=one.temperature,
        n_frames=len(frames),
        index=one.index,
    )
