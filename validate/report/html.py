"""One self-contained page: no request leaves it, and it can be mailed, printed and read offline."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files

from m3compress.analysis.svg.axes import powers
from m3compress.analysis.svg.page import render
from m3compress.validate.report.document import Report
from m3compress.validate.report.figures import sections_of
from m3compress.validate.report.gauge import gauge_svg
from m3compress.validate.report.scope import facts, scope
from m3compress.validate.report.words import (
    ORDER,
    headline,
    number,
    remark,
    title,
    verdict_word,
    worst_first,
)
from m3compress.validate.result import CheckResult, Tier, Verdict

_HERE = "m3compress.validate.report"
_QUIET = (Verdict.PASS, Verdict.SKIPPED)


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of a table; ``gauge`` is SVG made here, and safe."""

    verdict: str
    name: str
    measures: str
    value: str
    interval: str
    gauge: str
    limit: str
    floor: str
    unit: str
    remark: str
    source: str
    command: str
    decides: bool


@dataclass(frozen=True, slots=True)
class _Group:
    """What is folded into one line: a family of checks without what did not pass.

    A count is a verdict, how many, and whether any of these decides.
    """

    name: str
    counts: list[tuple[str, int, bool]]
    nearest: str
    rows: list[_Row]


def html_page(report: Report) -> str:
    """The page.

    Args:
        report: A finished run.
    """
    loud = [result for result in report.results if result.verdict not in _QUIET]
    return render(
        _HERE,
        "page.html",
        report=report,
        word=verdict_word(report.verdict),
        headline=headline(report),
        scope=scope(report),
        facts=facts(report),
        sections=sections_of(report),
        attention=[_row(result) for result in worst_first(loud)],
        groups=_groups(report),
        script=files(_HERE).joinpath("page.js").read_text(encoding="utf-8"),
        created=_moment(report.created),
        elapsed=_elapsed(report.seconds),
    )


def _groups(report: Report) -> list[_Group]:
    """One per tier, and one for the reference."""
    own = [result for result in report.results if result.subject == "artefact"]
    found = [_group(str(tier), [r for r in own if r.tier is tier]) for tier in Tier]
    others = [result for result in report.results if result.subject != "artefact"]
    found.append(_group("the reference, measured in the same way", others))
    return [group for group in found if group.counts]


def _group(name: str, results: Sequence[CheckResult]) -> _Group:
    counts = Counter(result.verdict for result in results)
    deciding = {result.verdict for result in results if result.decides}
    quiet = worst_first(result for result in results if result.verdict in _QUIET)
    return _Group(
        name=name,
        counts=[
            (str(verdict), counts[verdict], verdict in deciding)
            for verdict in ORDER
            if counts[verdict]
        ],
        nearest=_nearest(quiet),
        rows=[_row(result) for result in quiet],
    )


def _nearest(results: Sequence[CheckResult]) -> str:
    """Which passing check came nearest to its limit."""
    passed = [r for r in results if r.decides and r.verdict is Verdict.PASS and r.severity > 0]
    if not passed:
        return ""
    worst = max(passed, key=lambda result: result.severity)
    return f"{title(worst)} comes nearest, at {100 * worst.severity:.2g} % of its limit"


def _row(result: CheckResult) -> _Row:
    measured = result.measurement
    interval = ""
    if measured.interval is not None:
        interval = "[" + ", ".join(powers(number(end)) for end in measured.interval) + "]"
    quiet = result.verdict in _QUIET
    return _Row(
        verdict=str(result.verdict),
        name=title(result),
        measures=result.measures,
        value=powers(number(measured.value)),
        interval=interval,
        gauge=gauge_svg(result),
        limit=powers(number(result.limit.value)) + ("*" if result.limit.overridden else ""),
        floor=powers(number(measured.floor)),
        unit=result.limit.unit,
        remark=remark(result),
        source=result.limit.source,
        command="" if quiet else (measured.command or ""),
        decides=result.decides,
    )


def _moment(created: str) -> str:
    """``2026-01-31 12:00 UTC``; as it stands where it is no time."""
    try:
        when = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{when:%Y-%m-%d %H:%M} {when.tzname() or ''}".strip()


def _elapsed(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "unknown time"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
