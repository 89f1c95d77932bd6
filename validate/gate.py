"""The gate from end to end: claim a folder, measure, judge, report."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from m3compress.contract.files import not_left_empty
from m3compress.contract.progress import Progress, silent
from m3compress.errors import M3CompressError
from m3compress.validate.checks.building import Check
from m3compress.validate.checks.graph import is_mixed
from m3compress.validate.record import make_report
from m3compress.validate.report.document import Report
from m3compress.validate.report.write import require_writable, write_reports
from m3compress.validate.result import CheckResult
from m3compress.validate.run import checks_of, claim_workplace, never, only_run, run_checks
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.estimate import estimate_seconds, in_words
from m3compress.validate.setup.settings import Settings, open_context

#: Of a folder with reports: where a run keeps what it has done, and the note that it is a run's.
_WORK, _NOTE = "work", "run.json"


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
        M3CompressError: If it cannot run, or ``work`` holds files that are no run's; what a check
            meets becomes its result instead.
    """
    start = time.perf_counter()
    limits = settings.read_limits()
    settings.read_profile()
    workplace = workplace_in(folder)
    require_ours(workplace)
    with not_left_empty(folder):
        require_writable(folder)
        context = open_context(settings, workplace, trajectories or workplace / "trajectories")
    with only_run(folder):
        if force and not resume:
            _clear(workplace)
        claim_workplace(workplace, settings.fingerprint(), resume=resume)
        announce(describe_run(context, whole=enough is never))
        context = replace(context, progress=progress)
        results = run_checks(context, limits, checks=checks, enough=enough)
        report = make_report(settings, context, results, time.perf_counter() - start)
        write_reports(report, folder, junit=junit, strict=strict, env=os.environ)
    return report


def workplace_in(folder: Path) -> Path:
    """Where the run whose reports go to a folder keeps what it has done."""
    return folder / _WORK


def holds_run(folder: Path) -> bool:
    """Whether a folder with reports holds a run, finished or not."""
    return (workplace_in(folder) / _NOTE).is_file()


def require_ours(workplace: Path) -> None:
    """Refuse a folder with files that no run left: a run would take them for its own.

    Args:
        workplace: See :func:`workplace_in`; absent and empty ones are free.

    Raises:
        M3CompressError: If it holds files and no note of a run.
    """
    if (workplace / _NOTE).is_file() or not workplace.is_dir():
        return
    try:
        # A kill while the note is written leaves no more than its beginning.
        found = sorted(p.name for p in workplace.iterdir() if not p.match(f".{_NOTE}.*.tmp"))
    except OSError as error:
        raise M3CompressError(
            f"{workplace} cannot be read: {error.strerror}", hint="give another --report-dir"
        ) from error
    if found:
        raise M3CompressError(
            f"{workplace} is not that of a run: it holds {found[0]} and no {_NOTE}",
            hint="give another --report-dir, or move that folder elsewhere",
        )


def _clear(workplace: Path) -> None:
    """Take away what an earlier run left.

    Its note goes last: a kill on the way must not leave files that are no run's.
    """
    for path in workplace.iterdir() if workplace.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != _NOTE:
            _remove(path)
    _remove(workplace / _NOTE)
    shutil.rmtree(workplace, ignore_errors=True)


def _remove(path: Path) -> None:
    # What stays is found, and told, where the run claims the folder.
    with suppress(OSError):
        path.unlink()


def describe_run(context: Context, *, whole: bool = True) -> str:
    """What is about to be measured, and about how long it will take.

    Args:
        context: Whom and how to measure.
        whole: Whether all checks run, whatever the first ones find.
    """
    duration = f"{'about' if whole else 'up to about'} {in_words(estimate_seconds(context))}"
    samples = ", ".join(f"{named.name} ({len(named.atoms)} atoms)" for named in context.samples)
    n_checks, n_workers = len(checks_of(context)), context.n_workers
    return (
        f"profile {context.profile.name}: {n_checks} checks, molecular dynamics of {samples}, "
        f"{context.profile.n_replicas} replicas; {duration} with "
        f"{n_workers} {'process' if n_workers == 1 else 'processes'}{_foreseen(context)}"
    )


def _foreseen(context: Context) -> str:
    """What is known to fail before anything is measured."""
    if context.candidate.kind != "artefact" or not is_mixed(Path(context.candidate.path)):
        return ""
    return ". It cannot pass: mixed precision is judged by the limits of float32"
