"""A student from the labels of its plan to its file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms

from m3compress.contract.files import document_sha256
from m3compress.contract.neighbors import FloatArray
from m3compress.distill.data.batches import Batch, fit_references, to_batch
from m3compress.distill.data.labelling import LabelStore
from m3compress.distill.data.labels import largest_force
from m3compress.distill.losses import HuberLoss, Term
from m3compress.distill.students import Student
from m3compress.distill.training.initial import initial_network
from m3compress.distill.training.loop import Settings, mean_errors, train
from m3compress.distill.training.run import Run, begin
from m3compress.distill.training.schedule import Schedule
from m3compress.distill.training.step import eager_step
from m3compress.errors import M3CompressError
from m3compress.models.config import M3GNetConfig
from m3compress.models.potential import Potential
from m3compress.models.readers.native import require_writable
from m3compress.models.student_record import Domain, Errors, StudentRecord, write_student

#: Frames with a larger force (eV/Å) are walls: they say nothing of the energies of the elements,
#: nor of how large forces usually are, and count the less in the loss the larger theirs are.
_CALM: Final = 20.0
#: Kinds of frames like those of a simulation.
_INSIDE: Final = ("distorted", "trajectory")
#: Raised when the same settings give other weights.
_VERSION: Final = 1
#: Atoms of a batch.
_BATCH_ATOMS: Final = 100
#: Energy in eV/atom, forces in eV/Å, stress in eV/Å³.
_TERMS: Final = (
    Term("energy", weight=2.0, delta=0.1),
    Term("forces", weight=1.0, delta=0.2),
    Term("stress", weight=10.0, delta=0.02),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a student is trained, but for what its labels decide.

    Attributes:
        epochs: Length of the schedule; those of the prototype had some hundreds.
        minutes: The same in time; whichever is further on counts.
        learning_rate: Peak.
        seed: Of the initial weights and of the order of the frames.
    """

    epochs: int = 300
    minutes: float = math.inf
    learning_rate: float = 1e-2
    seed: int = 0

    def settings(self, student: Student, frames: Sequence[Atoms]) -> Settings:
        """The settings of the loop, in batches of about 100 atoms."""
        size = float(np.mean([len(frame) for frame in frames]))
        return Settings(
            schedule=Schedule(
                epochs=self.epochs,
                minutes=self.minutes,
                learning_rate=self.learning_rate,
                warm_up=0.03,
            ),
            loss=HuberLoss(terms=_TERMS, form=student.three_body),
            batch_size=max(1, round(_BATCH_ATOMS / size)),
            seed=self.seed,
        )


def train_student(
    store: LabelStore,
    student: Student,
    course: Course,
    output: Path,
    *,
    force: bool = False,
    after_epoch: Callable[[Run], None] | None = None,
) -> StudentRecord:
    """Train a student on labels, measure it on those held back, and write it with its record.

    A killed training goes on from its last epoch: its checkpoint lies in the folder of the labels,
    named after all that decides it. On one thread, the result is that of an uninterrupted one.

    Args:
        store: Labels, all of them there.
        student: What to train.
        course: How to train it.
        output: ``NAME.m3c.safetensors``.
        force: Replace an existing file.
        after_epoch: Told the state of the training after each epoch.

    Returns:
        What the file says of itself.

    Raises:
        StructureError: If a split has no frames, or labels are missing.
        OutputExistsError: If a file is in the way and ``force`` is not given.
        M3CompressError: If a file cannot be read or written, the training diverged, or its time is
            too short for an epoch.
    """
    require_writable(output, force=force)
    frames, held = store.read("train"), store.read("validation")
    config = student.config(store.plan.elements, store.teacher.cutoff)
    settings = course.settings(student, frames)
    run, batches = _begin(frames, config, settings)
    checkpoint = store.folder / f"training-{_identity(store, student, settings)[:12]}.pt"
    if checkpoint.exists():
        run.load(checkpoint)
    step = eager_step(run.network, settings.loss)
    watched = _batches(held, config, run.references)
    train(run, step, batches, watched, settings, checkpoint=checkpoint, after_epoch=after_epoch)
    _require_sound(run, settings.schedule, checkpoint)
    potential = run.potential(student.three_body)
    record = StudentRecord(
        teacher=store.teacher.to_json(),
        data=store.summary(),
        recipe=_recipe(student, settings, run),
        errors={"test": measure(potential, store.read("test"))},
        domain=_domain(store, frames, config.cutoff),
    )
    write_student(potential, record, output, force=force)
    return record


def _require_sound(run: Run, schedule: Schedule, checkpoint: Path) -> None:
    """Refuse a student that is not worth a file.

    Raises:
        M3CompressError: If its last errors are not finite, or time was over in the first epoch.
    """
    if run.epoch == 1 < schedule.epochs and run.seconds >= 60 * schedule.minutes:
        raise M3CompressError(
            f"{60 * schedule.minutes:.3g} s are too short: one epoch takes {run.seconds:.3g} s",
            hint="give more minutes, plan fewer frames, or choose a smaller student",
        )
    if not all(math.isfinite(value) for value in run.history[-1].values()):
        raise M3CompressError(
            f"the training diverged: its last epoch ended with {run.history[-1]}",
            hint=f"lower the learning rate; its checkpoint is {checkpoint}",
        )


def measure(potential: Potential, frames: Sequence[Atoms]) -> Errors:
    """Mean absolute errors of a student on labelled frames, in float32.

    Args:
        potential: The student.
        frames: That it was not trained on.
    """
    batches = _batches(frames, potential.config, potential.element_energies)
    return Errors(**mean_errors(potential.network, batches, potential.form))


def _begin(
    frames: Sequence[Atoms], config: M3GNetConfig, settings: Settings
) -> tuple[Run, list[Batch]]:
    """A training before its first step; element energies and scale are those of calm frames."""
    is_calm = [largest_force(frame) <= _CALM for frame in frames]
    if not any(is_calm):
        is_calm = [True] * len(frames)
    calm = [frame for frame, kept in zip(frames, is_calm, strict=True) if kept]
    references = fit_references(calm, config.elements)
    batches = _batches(frames, config, references)
    typical = [batch for batch, kept in zip(batches, is_calm, strict=True) if kept]
    network = initial_network(config, typical, seed=settings.seed)
    rate = settings.schedule.learning_rate
    return begin(network, references, decay=settings.decay, learning_rate=rate), batches


def _batches(frames: Sequence[Atoms], config: M3GNetConfig, references: FloatArray) -> list[Batch]:
    return [to_batch(frame, config, references, calm=_CALM) for frame in frames]


def _identity(store: LabelStore, student: Student, settings: Settings) -> str:
    """Hash of everything that decides the weights."""
    document = {
        "version": _VERSION,
        "calm": _CALM,
        "labels": store.summary()["sha256"],
        "student": student.model_dump(mode="json"),
        "settings": asdict(settings),
    }
    return document_sha256(document)


def _recipe(student: Student, settings: Settings, run: Run) -> dict[str, Any]:
    schedule = settings.schedule
    return {
        "student": student.model_dump(mode="json"),
        "epochs": run.epoch,
        "seconds": round(run.seconds, 1),
        "minutes": schedule.minutes if math.isfinite(schedule.minutes) else None,
        "learning_rate": schedule.learning_rate,
        "batch_size": settings.batch_size,
        "decay": settings.decay,
        "loss": [asdict(term) for term in settings.loss.terms],
        "seed": settings.seed,
    }


def _domain(store: LabelStore, frames: Sequence[Atoms], cutoff: float) -> Domain:
    """That of distorted crystals and trajectories: walls are there to keep a student in it."""
    inside = {group.name for group in store.plan.groups if group.kind in _INSIDE}
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
