"""What a user decides of a distillation, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from m3compress.distill.data.sampling import Sampling
from m3compress.distill.losses import is_curved
from m3compress.distill.on_policy.settings import OwnDynamics
from m3compress.distill.students import Student
from m3compress.errors import M3CompressError


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillSettings:
    """Settings of a distillation.

    Attributes:
        student: What is trained, and how.
        sampling: Which frames are made; fewer than that if the time is too short.
        own: How far the student goes in its own dynamics.
        rounds: How often it does, before the last time after its training.
        minutes: For all of it, on a quiet machine.
        epochs: Passes over the first frames, in place of what fits in the time.
        threads: Of the training; and processes side by side for everything else.
        seed: Of everything random.

    Raises:
        M3CompressError: If a number makes no sense.
    """

    student: Student = field(default_factory=Student)
    sampling: Sampling = field(default_factory=Sampling)
    own: OwnDynamics = field(default_factory=OwnDynamics)
    rounds: int = 3
    minutes: float = 50.0
    epochs: int | None = None
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.minutes < math.inf:
            raise M3CompressError(f"{self.minutes:g} minutes are no time to distil in")
        if self.rounds < 0:
            raise M3CompressError(f"{self.rounds} rounds are no number of rounds")

    def for_students(self, students: Iterable[Student]) -> DistillSettings:
        """The same, with the labels that the losses of students ask for."""
        curved = any(is_curved(student.training.loss) for student in students)
        return replace(self, sampling=replace(self.sampling, curved=curved))

    def to_json(self) -> dict[str, Any]:
        """Plain values that decide the result: threads do not."""
        sampling = asdict(self.sampling)
        if not sampling["curved"]:
            del sampling["curved"]  # what was begun before there was a choice goes on
        document = {name: getattr(self, name) for name in ("rounds", "minutes", "epochs", "seed")}
        return {
            **document,
            "student": self.student.model_dump(mode="json"),
            "sampling": sampling,
            "own": asdict(self.own),
        }
