"""Labels of a whole plan, by workers side by side, in a folder that survives a kill.

The frames of a group are a file, there as a whole or not at all; trajectories have checkpoints of
their own. Each file is named after what decided its content, teacher included: a plan that shares
groups with an earlier one in the folder finds them there, and nothing is computed twice. A worker
runs the teacher on one thread, so that the number of workers changes no number.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

from ase import Atoms

from m3compress.contract.evaluation import Evaluator, EvaluatorSpec
from m3compress.contract.files import write_atomically
from m3compress.contract.progress import Progress, silent
from m3compress.contract.teacher import Teacher
from m3compress.distill.data.frame_store import FrameStore
from m3compress.distill.data.phases import DataPlan
from m3compress.distill.data.plan import SPLITS, Group, Kind, Split, of_split
from m3compress.engines.dynamics.processes import worker_processes
from m3compress.errors import M3CompressError, StructureError

FRAMES: Final = "frames"
TRAJECTORIES: Final = "trajectories"
_POLL: Final = 0.2  # s


@dataclass(frozen=True)
class LabelStore:
    """The labelled frames of a plan in a folder.

    Attributes:
        folder: Holds ``frames`` and ``trajectories``; other plans and teachers may share it.
        plan: Which frames.
        teacher: Whose labels.
    """

    folder: Path
    plan: DataPlan
    teacher: Teacher

    @cached_property
    def frames(self) -> FrameStore:
        """The files of the groups."""
        return FrameStore(self.folder / FRAMES, self.plan.contents(self.teacher.sha256))

    @property
    def missing(self) -> list[Group]:
        """Groups that are not there yet, in the order of the plan."""
        return [group for group in self.plan.groups if not self.frames.has(group)]

    def fill(self, n_workers: int, progress: Progress = silent) -> None:
        """Make all groups that are not there yet.

        Args:
            n_workers: Processes side by side.
            progress: Told which part of the evaluations is done.

        Raises:
            M3CompressError: If the teacher cannot be opened, a file cannot be written, or a worker
                dies; what is done stays.
        """
        # The longest first, so that no worker waits at the end.
        costs = {group.name: self.plan.atoms_evaluated(group) for group in self.plan.groups}
        waiting = sorted(self.missing, key=lambda group: -costs[group.name])
        if not waiting:
            return
        total = sum(costs.values())
        with worker_processes(max(1, min(n_workers, len(waiting)))) as executor:
            futures = {executor.submit(_work, self, group): group for group in waiting}
            while True:
                running = {future for future in futures if not future.done()}
                for future in futures.keys() - running:
                    _raise_error(future, futures[future])
                left = sum(costs[futures[future].name] for future in running)
                progress("labels", 1 - left / total)
                if not running:
                    return
                time.sleep(_POLL)

    def read(self, split: Split, without: Sequence[Kind] = ()) -> list[Atoms]:
        """All frames of a split, labelled; ``info["group"]`` is the name of their group.

        Args:
            split: Which one.
            without: Kinds of frames that are not wanted.

        Raises:
            StructureError: If it is empty, or a file is missing or cannot be read.
        """
        wanted = [g for g in of_split(self.plan.groups, split) if g.kind not in without]
        frames = self.frames.read(wanted)
        if not frames:
            reasons = "; ".join(dict.fromkeys(line for _, line in self.left_out(split)))
            raise StructureError(
                f"there are no frames to {_PURPOSES[split]}: {reasons}",
                hint="lower the temperatures, or see whether the teacher knows such structures",
            )
        return frames

    def left_out(self, *splits: Split) -> list[tuple[str, str]]:
        """Names of groups that have fewer frames than planned, and why.

        Args:
            splits: Which ones; all if none is given.
        """
        said = []
        for split in splits or SPLITS:
            for group in of_split(self.plan.groups, split):
                why = self._note(group).get("left_out")
                if why:
                    said.append((group.name, str(why)))
        return said

    def summary(self) -> dict[str, Any]:
        """What the record of a student says of its data, plain values.

        Raises:
            StructureError: If a file is missing or cannot be read.
        """
        store, digest = self.frames, hashlib.sha256()
        counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
        for group in self.plan.groups:
            digest.update(store.path(group).name.encode())
            counts[group.split][group.kind] += len(store.read([group]))
        return {
            "frames": {split: dict(count) for split, count in counts.items()},
            "sha256": digest.hexdigest(),
            "temperatures": list(self.plan.sampling.temperatures),
            "left_out": [f"{name}: {why}" for name, why in self.left_out()],
        }

    def make(self, group: Group, evaluator: Evaluator) -> None:
        """Make and write one group in this process.

        Args:
            group: Of the plan.
            evaluator: The teacher, open.

        Raises:
            M3CompressError: If it cannot be written, or the teacher fails whatever the structure.
        """
        sampler = self.plan.sampler(evaluator, self.teacher.sha256, self.folder / TRAJECTORIES)
        frames, why = [], ""
        try:
            frames = sampler(group)
        except StructureError as error:
            why = error.message
        if not why and len(frames) < group.n_frames:
            n_missing = group.n_frames - len(frames)
            limit = self.plan.sampling.largest_force
            why = f"{n_missing} of {group.n_frames} frames: {_WHY_NOT.format(limit)}"
        # The note first: the frames say that the group is done.
        write_atomically(self._note_path(group), json.dumps({"left_out": why}).encode())
        self.frames.save(group, frames)

    def _note_path(self, group: Group) -> Path:
        return self.frames.path(group).with_suffix(".json")

    def _note(self, group: Group) -> dict[str, Any]:
        try:
            document = json.loads(self._note_path(group).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}


_PURPOSES: Final[dict[Split, str]] = {
    "train": "learn from",
    "validation": "validate on",
    "test": "test on",
}
_WHY_NOT: Final = (
    "forces beyond {:g} eV/Å or not finite, no such neighbours, "
    "or energies that fall as two close atoms come closer"
)


def seconds_per_atom(teacher: Teacher, plan: DataPlan) -> float:
    """Of the processor per atom and evaluation of the teacher on one thread, measured on a phase.

    Raises:
        M3CompressError: If it cannot be opened, or cannot evaluate the phase.
    """
    evaluator = teacher.open(threads=1)
    atoms = next(iter(plan.phases.values())).copy()
    evaluator.evaluate(atoms)  # the first one allocates and compiles
    atoms.rattle(0.01, seed=1)
    began = time.process_time()
    evaluator.evaluate(atoms)
    return (time.process_time() - began) / len(atoms)


@cache
def _open(spec: EvaluatorSpec) -> Evaluator:
    return spec.open()


def _work(store: LabelStore, group: Group) -> None:
    try:
        store.make(group, _open(store.teacher.spec.with_threads(1)))
    except M3CompressError as error:
        # Some of the family cannot be sent from one process to another.
        raise M3CompressError(error.message, hint=error.hint) from None


def _raise_error(future: Future[None], group: Group) -> None:
    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        raise M3CompressError(
            f"a worker died, at the latest with {group.name}",
            hint="is there enough memory? With fewer workers, it goes on where it stopped",
        ) from error
    if error is not None:
        raise error
