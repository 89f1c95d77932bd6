"""The gate from end to end: claim a folder, measure, judge, report."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from m3compress.contract.files import not_left_empty
from m3compress.contract.progress import Progress, silent
from m3compress.validate.checks.building import Check
from m3compress.validate.checks.graph import is_mixed
from m3compress.validate.record import make_report
from m3compress.validate.report.document import Report
from m3compress.validate.report.write import require_writable, write_reports
from m3compress.validate.result import CheckResult
from m3compress.validate.run import checks_of, claim_workplace, never, only_run, run_checks
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.estimate import estimate_seconds
from m3compress.validate.setup.settings import Settings, open_context


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
    checks: Sequence[Check] | None = None,
    enough: Callable[[Sequence[CheckResult]], str | None] = never,
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
        trajectories: Folder of the molecular dynamics, where several runs share it, and beside it
            what they find on the reference.
        checks: All checks, in the order in which they run; None for those of the gate.
        enough: See :func:`~m3compress.validate.run.run_checks`.

    Raises:
        M3CompressError: If it cannot run; what a check meets becomes its result instead.
    """
    start = time.perf_counter()
    limits = settings.read_limits()
    settings.read_profile()
    workplace = folder / "work"
    with not_left_empty(folder):
        require_writable(folder)
        context = open_context(settings, workplace, trajectories or workplace / "trajectories")
    with only_run(folder):
        if force and not resume:
            shutil.rmtree(workplace, ignore_errors=True)
        claim_workplace(workplace, settings.fingerprint(), resume=resume)
        announce(describe_run(context))
        context = replace(context, progress=progress)
        results = run_checks(context, limits, checks=checks, enough=enough)
        report = make_report(settings, context, results, time.perf_counter() - start)
        write_reports(report, folder, junit=junit, strict=strict, env=os.environ)
    return report


def describe_run(context: Context) -> str:
    """What is about to be measured, and about how long it will take."""
    seconds = estimate_seconds(context)
    samples = ", ".join(f"{named.name} ({len(named.atoms)} atoms)" for named in context.samples)
    n_checks = len(checks_of(context))
    return (
        f"profile {context.profile.name}: {n_checks} checks, molecular dynamics of {samples}, "
        f"{context.profile.n_replicas} replicas; about {max(1, round(seconds / 60))} min with "
        f"{context.n_workers} processes{_foreseen(context)}"
    )


def _foreseen(context: Context) -> str:
    """What is known to fail before anything is measured."""
    if context.candidate.kind != "artefact" or not is_mixed(Path(context.candidate.path)):
        return ""
    return ". It cannot pass: mixed precision is judged by the limits of float32"
