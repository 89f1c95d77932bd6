"""What becomes of a gate where the model is a student: its teacher, its domain, its phases.

The student's own artefact is measured as ever. Its molecular dynamics and the properties of its
crystals are compared with the teacher's instead of with the student's in PyTorch: an export that is
right to the last digit on every static structure moves no differently, and a second model that is
moved costs as much as the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

from m3compress.contract.teacher import Teacher
from m3compress.errors import M3CompressError
from m3compress.models.structures.frames import Named, require_known
from m3compress.models.structures.samples import crystals_for, read_structures
from m3compress.models.structures.supercell import smallest_supercell
from m3compress.models.student_record import STUDENT, Domain, StudentRecord, record_of
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.subject import Subject, TrainedModel

#: A crystal at rest may be so much lighter or denser (relatively) than what a student was shown.
_MARGIN: Final = 0.02
#: Trajectories of two potentials part, and need to be so long (ps) to tell distributions apart.
_LEAST_DURATION: Final = 0.5
#: More than there are of any composition: all of them are looked through.
_ALL: Final = 100


class StudentError(M3CompressError):
    """A model cannot be compared with a teacher."""


class TeacherSource(Protocol):
    """Where a teacher is from, opened by whoever knows all engines."""

    def open(self, structures: Sequence[Named]) -> Teacher:
        """Open it, and believe it once it was asked about these structures.

        Raises:
            TeacherError: If it cannot be opened, gives no stress, or changes its answers.
            StructureError: If it does not know an element, or an answer is not finite.
        """

    def identity(self) -> str:
        """What tells it from another one."""


def with_teacher(
    context: Context, source: TeacherSource, *, structures: Path | None, hot: bool, long: bool
) -> Context:
    """The gate of a student that is compared with its teacher.

    Args:
        context: The gate of the student as of any other model.
        source: Opens the teacher.
        structures: Phases of the user; those of the built-in crystals that lie in the domain of the
            student if none are given.
        hot: Whether molecular dynamics is as hot as the domain allows.
        long: Whether it is as long as it needs to be to tell two potentials apart.

    Raises:
        StudentError: If the model does not say of what it is a student, or there is no phase.
        TeacherError: If the teacher cannot be opened or believed.
        StructureError: If it cannot evaluate a phase.
    """
    record = _record(context)
    profile, samples = context.profile, context.samples
    if hot and record.domain.temperatures is not None:
        profile = replace(profile, temperature=record.domain.temperatures[1])
    if long:
        profile = replace(profile, duration=max(profile.duration, _LEAST_DURATION))
    if structures is None:
        phases = _phases(record.domain)
        samples = tuple(
            replace(named, atoms=smallest_supercell(named.atoms, 2 * profile.r_max))
            for named in phases[: profile.n_samples]
        )
    else:
        phases = read_structures(structures, record.domain.elements, 0.0)
    for named in samples:
        require_known(named.atoms, record.domain.elements, named.name)
    return replace(
        context,
        teacher=source.open(phases),
        student=record,
        profile=profile,
        crystals=phases,
        samples=samples,
    )


def is_student(model: Subject) -> bool:
    """Whether a model copies another one."""
    return isinstance(model, TrainedModel) and STUDENT in model.potential.provenance.record


def _record(context: Context) -> StudentRecord:
    model = context.reference_subject
    found = record_of(model.potential) if isinstance(model, TrainedModel) else None
    if found is None:
        raise StudentError(
            f"{Path(context.reference.path).name} is no student: it has no record of a teacher",
            hint="without --teacher it is validated as any other model",
        )
    return found


def _phases(domain: Domain) -> tuple[Named, ...]:
    """Built-in crystals of all its elements that are as dense as what a student was shown."""
    found = tuple(
        named
        for named in crystals_for(domain.elements, most=_ALL)
        if set(named.atoms.symbols) == set(domain.elements) and domain.holds(named.atoms, _MARGIN)
    )
    if not found:
        raise StudentError(
            f"there is no built-in crystal in the domain of the student: {domain}",
            hint="give the phases that it was trained for: --structures FILE",
        )
    return found


def trained_by(record: StudentRecord, teacher: Teacher) -> bool:
    """Whether a student was trained by this teacher, as far as hashes tell.

    A model counts by its file, in whichever engine it ran then and runs now.
    """

    def known_by(facts: dict[str, Any]) -> object:
        return facts.get("source_sha256") or facts.get("sha256")

    return known_by(record.teacher) == known_by(teacher.to_json())
