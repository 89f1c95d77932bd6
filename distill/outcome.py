"""What a training says of itself in the record of its student."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from ase import Atoms

from m3compress.distill.data.label_store import LabelStore
from m3compress.distill.data.plan import of_split
from m3compress.distill.on_policy.round import OWN, RoundReport
from m3compress.distill.training.student import StudentTraining, measure
from m3compress.models.student_record import Domain, Errors, StudentRecord

#: Kinds of frames like those of a simulation; walls are there to keep a student among them.
_INSIDE: Final = ("distorted", "trajectory", "brought")


def record_of_training(
    training: StudentTraining,
    store: LabelStore,
    rounds: Sequence[RoundReport] = (),
    minutes: float | None = None,
) -> StudentRecord:
    """Measure a student on what was held back, and tell how it came to be.

    Args:
        training: Done.
        store: All labels.
        rounds: What its own dynamics showed.
        minutes: For which it was planned.

    Raises:
        StructureError: If there are no frames to test on.
    """
    return StudentRecord(
        teacher=store.teacher.to_json(),
        data=store.summary(),
        recipe={
            **_recipe(training),
            "minutes": minutes,
            "rounds": [report.to_json() for report in rounds],
        },
        errors=errors_of(training, store, rounds),
        domain=_domain(store, training.config.cutoff),
    )


def errors_of(
    training: StudentTraining, store: LabelStore, rounds: Sequence[RoundReport]
) -> dict[str, Errors]:
    """Errors on the teacher's trajectories, ``test`` and ``test PHASE``, and on ``own`` ones."""
    potential = training.potential
    frames = store.read("test")
    found = {"test": measure(potential, frames)}
    parents = {group.name: group.parent for group in store.plan.groups}
    for phase in store.plan.phases:
        mine = [frame for frame in frames if parents[frame.info["group"]] == phase]
        if mine:
            found[f"test {phase}"] = measure(potential, mine)
    last = [frame for round_ in rounds[-1:] for frame in _own(store, round_.number)]
    if last:
        found[OWN] = measure(potential, last)
    return found


def _own(store: LabelStore, number: int) -> list[Atoms]:
    """Frames of a round that were held back."""
    groups = of_split(store.plan.groups, "validation")
    mine = [group for group in groups if group.kind == OWN and group.index // 1000 == number]
    return store.frames.read(mine)


def _recipe(training: StudentTraining) -> dict[str, Any]:
    settings, run = training.settings, training.run
    return {
        "student": training.student.model_dump(mode="json"),
        "steps": run.steps,
        "epochs": run.epoch,
        "seconds": round(run.seconds, 1),
        "learning_rate": settings.schedule.learning_rate,
        "optimizer": training.student.training.optimizer,
        "batch_size": settings.batch_size,
        "decay": settings.decay,
        "loss": [asdict(term) for term in settings.loss.terms],
        "seed": settings.seed,
    }


def _domain(store: LabelStore, cutoff: float) -> Domain:
    """That of distorted crystals and of the teacher's trajectories."""
    inside = {group.name for group in store.plan.groups if group.kind in _INSIDE}
    frames = store.read("train")
    kept = [frame for frame in frames if frame.info["group"] in inside]
    return Domain.of(kept or frames, _temperatures(store), cutoff)


def _temperatures(store: LabelStore) -> list[float]:
    """Of the trajectories that were learned, without those that fell apart."""
    broken = {name for name, _ in store.left_out("train")}
    return [
        group.temperature
        for group in store.plan.groups
        if group.split == "train" and group.kind == "trajectory" and group.name not in broken
    ]
