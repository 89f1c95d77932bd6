"""How numbers and verdicts are said, the same in every report."""

from __future__ import annotations

import math
from collections.abc import Iterable

from m3compress.validate.report.document import Report
from m3compress.validate.result import CheckResult, Verdict, more_sampling, upper_end

#: Worst first.
ORDER = (
    Verdict.ERROR,
    Verdict.FAIL,
    Verdict.INCONCLUSIVE,
    Verdict.PASS,
    Verdict.SKIPPED,
)


def number(value: float | None) -> str:
    """Three significant digits; a dash for nothing."""
    return "–" if value is None else f"{value:.3g}"


def value_of(result: CheckResult) -> str:
    """``1.2 [0.9, 1.6]``, or what there is instead of a number."""
    measured = result.measurement
    if measured.error is not None:
        return "error"
    if measured.skipped is not None:
        return "skipped"
    if measured.interval is None:
        return number(measured.value)
    low, high = measured.interval
    return f"{number(measured.value)} [{number(low)}, {number(high)}]"


def limit_of(result: CheckResult) -> str:
    """The limit, with a star if a user changed it."""
    return number(result.limit.value) + ("*" if result.limit.overridden else "")


def worst_first(results: Iterable[CheckResult]) -> list[CheckResult]:
    """Errors and failures first, and of each the worst; what decides before what informs."""

    def rank(result: CheckResult) -> tuple[bool, int, float, str]:
        # Nothing is worse than a number that is none, and nothing compares with it.
        severity = math.inf if math.isnan(result.severity) else result.severity
        return (not result.decides, ORDER.index(result.verdict), -severity, result.id)

    return sorted(results, key=rank)


def remark(result: CheckResult) -> str:
    """Why, and what would help."""
    measured = result.measurement
    if measured.error is not None:
        return measured.error
    if measured.skipped is not None:
        return measured.skipped
    if result.verdict is Verdict.FAIL:
        return _would_pass(result)
    if result.verdict is Verdict.INCONCLUSIVE:
        return _would_decide(result)
    return "" if measured.power is None else f"sees drifts from {number(measured.power)}"


def _would_pass(result: CheckResult) -> str:
    """The limit that what was measured would meet."""
    needed = upper_end(result.measurement)
    if needed is None or not math.isfinite(needed):
        return "gave no finite number"
    if result.subject != "artefact":
        return ""
    return f"would pass at --limit {result.id}={rounded_up(needed)}"


def _would_decide(result: CheckResult) -> str:
    """How much more of what would make an inconclusive check pass or fail."""
    factor = more_sampling(result.measurement, result.limit)
    if factor is None or not math.isfinite(factor):
        return "it is at the limit itself: no amount of sampling decides"
    return f"about {rounded_up(factor)} times as many {result.measurement.needs or 'samples'}"


def rounded_up(value: float) -> str:
    """Two significant digits, never below the value."""
    digits = f"{value:.1e}"
    if float(digits) < value:
        mantissa, _, exponent = digits.partition("e")
        digits = f"{float(mantissa) + 0.1:.1f}e{exponent}"
    return f"{float(digits):g}"


def headline(report: Report) -> str:
    """One sentence: what was compared with what, and the outcome."""
    what = report.artefact.name if report.artefact else "a control"
    counts = dict.fromkeys(ORDER, 0)
    for result in report.results:
        if result.decides:
            counts[result.verdict] += 1
    told = ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n)
    return f"{what} against {report.reference.name}, profile {report.profile.name}: {told}"


def verdict_word(verdict: Verdict) -> str:
    """The verdict as a past participle, for headlines."""
    return {
        Verdict.PASS: "PASSED",
        Verdict.FAIL: "FAILED",
        Verdict.INCONCLUSIVE: "INCONCLUSIVE",
    }.get(verdict, str(verdict).upper())


def title(result: CheckResult) -> str:
    """Id, structure and, where it is not the artefact, the subject."""
    place = f" · {result.measurement.structure}" if result.measurement.structure else ""
    of = "" if result.subject == "artefact" else f" ({result.subject})"
    return f"{result.id}{place}{of}"
