"""What all checks share: who is measured, against whom, on what, and how hard."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from m3compress.contract.evaluation import Evaluator
from m3compress.contract.progress import Progress, silent
from m3compress.contract.teacher import Teacher
from m3compress.engines.dynamics.job import Job
from m3compress.models.structures.frames import Named
from m3compress.validate.setup.profiles import Profile
from m3compress.validate.setup.subject import Subject, SubjectSpec, TrainedSpec

if TYPE_CHECKING:
    from m3compress.models.student_record import StudentRecord


class StandIn(Protocol):
    """What is put in the place of the exported file where the gate tests itself."""

    @property
    def name(self) -> str:
        """What tells it from others."""

    def candidate(self, reference: TrainedSpec) -> SubjectSpec:
        """The subject that is measured, made of the trained model."""

    def alter(self, job: Job) -> Job:
        """A run of the candidate, as it is made; the checks know nothing of the change."""


@dataclass(frozen=True)
class Context:
    """Everything a check may look at. Subjects are opened when first asked for.

    Attributes:
        candidate: The exported file, or what stands in for it.
        reference: The trained model as trained, float64.
        twin: The trained model in the three-body form of the candidate, float64: what the
            candidate should be if the export were perfect. None where something stands in for it.
        profile: How much to do.
        zoo: Small static structures of the model's elements, 1 to some 200 atoms.
        crystals: Crystals at rest, for properties.
        samples: Periodic supercells for molecular dynamics.
        labels: Frames with DFT energies, forces (and stresses), or none.
        teacher: Whom the reference copies, where it is a student that is compared with its teacher.
        student: What the file of that student says of itself.
        stand_in: What stands in for the exported file, if something does.
        workplace: Folder for what a resumed run finds again.
        trajectories: Folder of the molecular dynamics; runs of several gates may share it.
        seed: Seed of every random number.
        n_workers: Processes that may run side by side, one thread each.
        progress: Told how far the run is.
        cached: What several checks need and one has computed; see ``setup/recall.py``.
    """

    candidate: SubjectSpec
    reference: TrainedSpec
    twin: TrainedSpec | None
    profile: Profile
    zoo: tuple[Named, ...]
    crystals: tuple[Named, ...]
    samples: tuple[Named, ...]
    workplace: Path
    trajectories: Path
    labels: tuple[Named, ...] = ()
    teacher: Teacher | None = None
    student: StudentRecord | None = None
    stand_in: StandIn | None = None
    seed: int = 0
    n_workers: int = 1
    progress: Progress = silent
    cached: dict[Any, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def reference_results(self) -> Path:
        """Folder of what checks find on the reference; shared where the trajectories are."""
        return self.trajectories.parent / "results"

    @cached_property
    def candidate_subject(self) -> Subject:
        """The candidate, opened."""
        return self.candidate.open()

    @cached_property
    def reference_subject(self) -> Subject:
        """The reference, opened."""
        return self.reference.open()

    @cached_property
    def standard(self) -> Evaluator:
        """Whose behaviour the candidate is to have: the teacher's where there is one, opened."""
        return self.reference_subject if self.teacher is None else self.teacher.open()

    @cached_property
    def twin_subject(self) -> Subject | None:
        """The twin, opened; None if there is none."""
        return None if self.twin is None else self.twin.open()
