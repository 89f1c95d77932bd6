"""A finished run as one document: what was measured, with what, and what to know about it."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from m3compress import __version__
from m3compress.engines.artefact import load_artefact
from m3compress.errors import M3CompressError
from m3compress.validate.coverage import coverage_of
from m3compress.validate.report.document import (
    ArtefactInfo,
    ChangedOption,
    ReferenceInfo,
    Report,
    StudentInfo,
    manifest_sha256,
)
from m3compress.validate.report.words import number
from m3compress.validate.result import CheckResult, Verdict
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.profiles import Profile, profile_named
from m3compress.validate.setup.settings import OPTIONS, Settings
from m3compress.validate.setup.students import is_student, trained_by
from m3compress.validate.setup.subject import ExportedFile, TrainedModel, provenance_of

_TOOLS: Final = ("numpy", "ase", "vesin", "onnxruntime", "torch", "scipy", "phonopy")


def make_report(
    settings: Settings, context: Context, results: Sequence[CheckResult], seconds: float
) -> Report:
    """The document of a finished run."""
    return Report(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tools=tool_versions(),
        machine={
            "system": platform.system(),
            "architecture": platform.machine(),
            "processors": str(os.cpu_count()),
            "python": platform.python_version(),
        },
        artefact=_artefact_info(settings, context),
        reference=_reference_info(context),
        profile=context.profile,
        changed_options=_changed_options(settings.read_profile()),
        coverage=coverage_of(context, results),
        student=_student_info(context),
        seed=context.seed,
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        results=tuple(results),
        not_checked=_not_checked(context, results),
        notes=(*_notes(results), *_about_teacher(context)),
        seconds=seconds,
    )


def tool_versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {"m3compress": __version__}
    for name in _TOOLS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _artefact_info(settings: Settings, context: Context) -> ArtefactInfo | None:
    if settings.control is not None:
        return None
    artefact = load_artefact(settings.artefact)
    manifest = artefact.manifest
    return ArtefactInfo(
        name=artefact.path.name,
        sha256=str(manifest.artefact_sha256),
        manifest_sha256=manifest_sha256(manifest),
        elements=manifest.elements,
        three_body=manifest.three_body.method,
        precision=manifest.precision,
        engine=_engine_of(context),
    )


def _engine_of(context: Context) -> str:
    """What ran the file; nothing where it did not open, which the checks have found."""
    try:
        subject = context.candidate_subject
    except M3CompressError:
        return ""
    return subject.description if isinstance(subject, ExportedFile) else ""


def _reference_info(context: Context) -> ReferenceInfo:
    subject = context.reference_subject
    provenance = provenance_of(subject)
    found = subject.potential.config.convention.name if isinstance(subject, TrainedModel) else ""
    return ReferenceInfo(
        name=Path(context.reference.path).name,
        sha256=provenance.sha256 if provenance else "",
        convention=found,
        format=provenance.format if provenance else "",
        decided_by=_decided_by(provenance.evidence) if provenance else "",
    )


def _decided_by(evidence: Mapping[str, Any]) -> str:
    """How a convention was found: ``measurement: it leaves the smallest forces``."""
    told = (evidence.get("decided_by", "format"), evidence.get("reason", "it leaves no choice"))
    return ": ".join(str(part) for part in told)


def _student_info(context: Context) -> StudentInfo | None:
    if context.teacher is None or context.student is None:
        return None
    return StudentInfo(
        teacher=context.teacher.name,
        teacher_sha256=context.teacher.sha256,
        **context.student.domain.model_dump(),
    )


def _changed_options(profile: Profile) -> tuple[ChangedOption, ...]:
    shipped = profile_named(profile.name)
    return tuple(
        ChangedOption(name=name, value=getattr(profile, name), shipped=getattr(shipped, name))
        for name in OPTIONS
        if getattr(profile, name) != getattr(shipped, name)
    )


def _not_checked(context: Context, results: Sequence[CheckResult]) -> tuple[str, ...]:
    reasons = {
        f"{result.id}: {result.measurement.skipped}": None
        for result in results
        if result.verdict is Verdict.SKIPPED and result.subject == "artefact"
    }
    right = "teacher" if context.teacher is not None else "trained model"
    always = (
        f"whether the {right} is right: only DFT labels or experiments tell (--labels)",
        "temperatures, phases and compositions other than those of the structures above",
    )
    alone = is_student(context.reference_subject) and context.teacher is None
    students = ("whether this student does what its teacher does (--teacher)",) * alone
    return (*reasons, *students, *always)


def _about_teacher(context: Context) -> tuple[str, ...]:
    """Whether it is another one than the student had."""
    if context.teacher and context.student and not trained_by(context.student, context.teacher):
        name = context.student.teacher.get("name", "another teacher")
        return (f"the student was trained by {name}, which has another hash than this teacher",)
    return ()


def _notes(results: Sequence[CheckResult]) -> tuple[str, ...]:
    """What a reader must know about the reference before believing an agreement with it."""
    worst: dict[str, CheckResult] = {}
    for result in results:
        if result.subject == "reference" and result.verdict is Verdict.FAIL:
            worst[result.id] = max(
                worst.get(result.id, result), result, key=lambda one: one.measurement.value or 0.0
            )
    broken = {
        name: f"{name} ({number(result.measurement.value)} {result.limit.unit})"
        for name, result in worst.items()
    }
    if not broken:
        return ()
    note = f"the reference itself fails {', '.join(broken.values())}"
    if "inv.permutation" in broken:
        note += (
            ". Its energy depends on the order of the atoms, because it was trained with misrouted "
            "triplets: that an artefact without the three-body block agrees with it is no evidence "
            "that the block can be removed from other models"
        )
    return (note,)
