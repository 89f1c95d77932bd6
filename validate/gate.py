"""The gate from end to end: claim a folder, measure, judge, report."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from m3compress import __version__
from m3compress.contract.progress import Progress, silent
from m3compress.engines.artefact import load_artefact
from m3compress.errors import M3CompressError
from m3compress.validate.report.document import (
    ArtefactInfo,
    ReferenceInfo,
    Report,
    manifest_sha256,
)
from m3compress.validate.report.words import number
from m3compress.validate.report.write import require_writable, write_reports
from m3compress.validate.result import CheckResult, Verdict
from m3compress.validate.run import CHECKS, claim_workplace, only_run, run_checks
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.estimate import estimate_seconds
from m3compress.validate.setup.settings import Settings, open_context
from m3compress.validate.setup.subject import ExportedFile, provenance_of

_TOOLS = ("numpy", "ase", "vesin", "onnxruntime", "torch", "scipy", "phonopy")


def quiet(line: str) -> None:
    """Where nobody wants to be told."""
    del line


def validate(
    settings: Settings,
    folder: Path,
    *,
    junit: Path | None = None,
    resume: bool = False,
    force: bool = False,
    strict: bool = False,
    progress: Progress = silent,
    announce: Callable[[str], None] = quiet,
    trajectories: Path | None = None,
) -> Report:
    """Measure an exported file, and write the reports.

    Args:
        settings: What to measure.
        folder: Where reports and, below ``work``, trajectories and results go.
        junit: A second place for ``junit.xml``.
        resume: Go on with the run in ``folder``.
        force: Start again in a folder that holds a run.
        strict: Whether ``junit.xml`` counts inconclusive as failed.
        progress: Told how far it is.
        announce: Told what is about to happen.
        trajectories: Folder of the molecular dynamics, where several runs share it.

    Raises:
        M3CompressError: If it cannot run; what a check meets becomes its result instead.
    """
    start = time.perf_counter()
    limits = settings.read_limits()
    settings.read_profile()
    require_writable(folder)
    workplace = folder / "work"
    context = open_context(settings, workplace, trajectories or workplace / "trajectories")
    with only_run(folder):
        if force and not resume:
            shutil.rmtree(workplace, ignore_errors=True)
        claim_workplace(workplace, settings.fingerprint(), resume=resume)
        announce(describe_run(context))
        context = replace(context, progress=progress)
        results = run_checks(context, limits)
        report = make_report(settings, context, results, time.perf_counter() - start)
        write_reports(report, folder, junit=junit, strict=strict, env=os.environ)
    return report


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
        seed=context.seed,
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        results=tuple(results),
        not_checked=_not_checked(results),
        notes=_notes(results),
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
    return ReferenceInfo(
        name=Path(context.reference.path).name,
        sha256=provenance.sha256 if provenance else "",
        convention=context.reference.convention or "",
        format=provenance.format if provenance else "",
    )


def _not_checked(results: Sequence[CheckResult]) -> tuple[str, ...]:
    reasons = {
        f"{result.id}: {result.measurement.skipped}": None
        for result in results
        if result.verdict is Verdict.SKIPPED and result.subject == "artefact"
    }
    always = (
        "whether the trained model is right: only DFT labels or experiments tell (--labels)",
        "temperatures, phases and compositions other than those of the structures above",
    )
    return (*reasons, *always)


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


def describe_run(context: Context) -> str:
    """What is about to be measured, and about how long it will take."""
    seconds = estimate_seconds(context)
    samples = ", ".join(f"{named.name} ({len(named.atoms)} atoms)" for named in context.samples)
    return (
        f"profile {context.profile.name}: {len(CHECKS)} checks, molecular dynamics of {samples}, "
        f"{context.profile.n_replicas} replicas; about {max(1, round(seconds / 60))} min with "
        f"{context.n_workers} processes"
    )
