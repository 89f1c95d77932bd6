"""Run all checks of a gate, one after the other, keeping what is done.

Every finished check is written into the workplace before the next one starts, and trajectories keep
themselves (:mod:`m3compress.engines.dynamics`): a run that was killed goes on where it stopped
and finds the same values.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from m3compress.contract.files import write_atomically
from m3compress.contract.locks import alone_in
from m3compress.errors import M3CompressError
from m3compress.validate.checks import (
    artefact,
    derivatives,
    dynamics,
    invariants,
    parity,
    performance,
    properties,
    students,
)
from m3compress.validate.checks.attempt import gather
from m3compress.validate.checks.building import Check
from m3compress.validate.result import CheckResult, Limit, Measurement, judge
from m3compress.validate.setup.context import Context

#: All checks in the order in which they run: the cheap and the fatal first.
CHECKS: tuple[Check, ...] = (
    *artefact.CHECKS,
    *invariants.CHECKS,
    *derivatives.CHECKS,
    *parity.CHECKS,
    *properties.CHECKS,
    *dynamics.CHECKS,
    *performance.CHECKS,
)
#: Those of a student with its teacher: the same of the file, and who moves like whom of the two.
STUDENT_CHECKS: tuple[Check, ...] = (
    *artefact.CHECKS,
    *invariants.CHECKS,
    *derivatives.CHECKS,
    *parity.CHECKS,
    *students.STATIC,
    *students.ALONE,
    *students.CHECKS,
    *performance.CHECKS,
)

_RESULTS = TypeAdapter(tuple[CheckResult, ...])


def never(found: Sequence[CheckResult]) -> None:
    """All checks run, whatever was found."""
    del found


def checks_of(context: Context) -> tuple[Check, ...]:
    """The checks of a gate, with a teacher or without."""
    return CHECKS if context.teacher is None else STUDENT_CHECKS


def run_checks(
    context: Context,
    limits: dict[str, Limit],
    *,
    checks: Sequence[Check] | None = None,
    enough: Callable[[Sequence[CheckResult]], str | None] = never,
) -> tuple[CheckResult, ...]:
    """Results of all checks on the candidate, and of some on the reference.

    Args:
        context: Whom and how to measure.
        limits: Limits of all checks by id.
        checks: Which checks; None for those of the gate.
        enough: Asked before each check, with what was found so far: why it is skipped, if so.
    """
    chosen = checks_of(context) if checks is None else checks
    turns = [(check, on) for check in chosen for on in _subjects(check)]
    found: list[CheckResult] = []
    for i, (check, on) in enumerate(turns):
        context.progress(check.id, i / len(turns))
        reason = enough(found)
        if reason is None:
            found += _run_or_recall(context, check, on, limits[check.id])
        else:
            found.append(_result(check, on, limits[check.id], Measurement(skipped=reason), 0.0))
    context.progress("done", 1.0)
    return tuple(found)


def _subjects(check: Check) -> tuple[str, ...]:
    return ("artefact", "reference") if check.on_reference else ("artefact",)


def _run_or_recall(context: Context, check: Check, on: str, limit: Limit) -> Iterable[CheckResult]:
    """What an earlier run of the same workplace measured, judged again, or a new measurement."""
    folder = context.reference_results if on == "reference" else context.workplace / "results"
    path = folder / f"{check.id}.{on}.json"
    recalled = _recall(path)
    if recalled is None:
        content = _RESULTS.dump_json(_run(context, check, on, limit), indent=1)
        # What a resumed run reads is what this one goes on with, to the last digit.
        recalled = _RESULTS.validate_json(content)
        # An error may be one of the machine: a resumed run tries again.
        if not any(result.measurement.error for result in recalled):
            write_atomically(path, content)
    return [
        result.model_copy(update={"limit": limit, "verdict": judge(result.measurement, limit)})
        for result in recalled
    ]


def _recall(path: Path) -> tuple[CheckResult, ...] | None:
    try:
        return _RESULTS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValidationError, ValueError, OSError) as error:
        raise M3CompressError(
            f"{path} is not a result of this version: {error}",
            hint="start again in another --report-dir, or with --force",
        ) from error


def _run(context: Context, check: Check, on: str, limit: Limit) -> tuple[CheckResult, ...]:
    start = time.perf_counter()
    measured = _measure(context, check, on)
    seconds = (time.perf_counter() - start) / len(measured)
    return tuple(_result(check, on, limit, measurement, seconds) for measurement in measured)


def _result(
    check: Check, on: str, limit: Limit, measurement: Measurement, seconds: float
) -> CheckResult:
    return CheckResult(
        id=check.id,
        tier=check.tier,
        subject=on,
        measures=check.measures,
        limit=limit,
        verdict=judge(measurement, limit),
        measurement=measurement,
        seconds=seconds,
    )


def _measure(context: Context, check: Check, on: str) -> list[Measurement]:
    """Measurements of a check; an exception becomes one, and stops nothing but this check."""

    def measurements() -> Iterable[Measurement]:
        candidate = on == "artefact"
        return check.run(
            context, context.candidate_subject if candidate else context.reference_subject
        )

    measured, failure = gather(measurements)
    if failure is not None:
        measured.append(Measurement(error=failure.reason))
    return measured or [Measurement(error="the check measured nothing")]


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder; the system lets go of it however this one ends.

    Args:
        folder: Where reports go.

    Raises:
        M3CompressError: If another process is at work there.
    """
    # Beside what --force removes, not in it.
    busy = f"another run is at work in {folder}"
    with alone_in(folder, busy, "wait for its end, or give another --report-dir"):
        yield


def claim_workplace(folder: Path, fingerprint: dict[str, object], *, resume: bool) -> None:
    """Make a folder this run's own, or refuse another run's.

    Args:
        folder: Where the run keeps what it has done.
        fingerprint: What decides the run's values.
        resume: Go on with what is there.

    Raises:
        M3CompressError: If the folder holds another run, or one that was not to be resumed, or is
            not writable.
    """
    note = folder / "run.json"
    text = json.dumps(fingerprint, indent=1, sort_keys=True)
    if note.is_file():
        _require_same_run(note, fingerprint, resume=resume)
        return
    if resume:
        raise M3CompressError(
            f"there is no run to resume in {folder}",
            hint="leave --resume out, or give the --report-dir of the run",
        )
    write_atomically(note, text.encode())


def _require_same_run(note: Path, fingerprint: dict[str, object], *, resume: bool) -> None:
    try:
        earlier = dict(json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise M3CompressError(
            f"{note} cannot be read: {error}", hint="give another --report-dir, or --force"
        ) from error
    changed = sorted(
        name
        for name in {*earlier, *fingerprint}
        if earlier.get(name) != json.loads(json.dumps(fingerprint.get(name)))
    )
    if changed:
        raise M3CompressError(
            f"{note.parent} holds another run: it differs in {', '.join(changed)}",
            hint="give another --report-dir, or --force to start again there",
        )
    if not resume:
        raise M3CompressError(
            f"{note.parent} holds an earlier run of the same",
            hint="--resume goes on with it, --force starts again",
        )
