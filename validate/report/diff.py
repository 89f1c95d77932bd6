"""What changed between two reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.table import Table

from m3compress.validate.report.document import Report
from m3compress.validate.report.words import number
from m3compress.validate.result import CheckResult, Verdict

_RANK = {
    Verdict.PASS: 0,
    Verdict.SKIPPED: 1,
    Verdict.INCONCLUSIVE: 2,
    Verdict.FAIL: 3,
    Verdict.ERROR: 4,
}


@dataclass(frozen=True, slots=True)
class Change:
    """One check on one structure, before and after; None where it was not there.

    Attributes:
        key: Check, subject and structure.
        before: Earlier result.
        after: Later result.
    """

    key: tuple[str, str, str]
    before: CheckResult | None
    after: CheckResult | None

    @property
    def worse(self) -> bool:
        """Whether the verdict got worse, or a check that was there is gone."""
        if self.before is None:
            return False
        if self.after is None:
            return self.before.decides
        return _RANK[self.after.verdict] > _RANK[self.before.verdict]

    @property
    def factor(self) -> float:
        """How many times larger the value is now."""
        values = [None if r is None else r.measurement.value for r in (self.before, self.after)]
        if None in values or not values[0]:
            return 1.0
        return float(values[1]) / float(values[0])  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Difference:
    """All changes, the worse ones first.

    Attributes:
        changes: Of every check in either report.
    """

    changes: tuple[Change, ...]

    @property
    def regressions(self) -> tuple[Change, ...]:
        """What got worse."""
        return tuple(change for change in self.changes if change.worse)

    def to_json(self) -> list[dict[str, Any]]:
        """Plain values, one per change."""
        return [
            {
                "check": change.key[0],
                "subject": change.key[1],
                "structure": change.key[2],
                "worse": change.worse,
                "before": _values(change.before),
                "after": _values(change.after),
            }
            for change in self.changes
        ]


def diff_reports(before: Report, after: Report) -> Difference:
    """Compare two reports check by check."""
    old, new = ({_key(r): r for r in report.results} for report in (before, after))
    changes = [Change(key, old.get(key), new.get(key)) for key in {**old, **new}]
    return Difference(tuple(sorted(changes, key=lambda c: (not c.worse, -c.factor, c.key))))


def render_diff(found: Difference) -> Table:
    """A table of what changed by more than a percent or in its verdict."""
    table = Table(box=None, header_style="bold")
    for column in ("check", "structure", "before", "after", "limit"):
        table.add_column(column)
    for change in found.changes:
        if not (change.worse or abs(change.factor - 1) > 0.01 or _verdicts(change)):
            continue
        now = change.after or change.before
        table.add_row(
            f"{change.key[0]} ({change.key[1]})",
            change.key[2],
            _cell(change.before),
            _cell(change.after),
            number(now.limit.value if now else None),
            style="red" if change.worse else "",
        )
    if not table.row_count:
        table.add_row("no check changed", "", "", "", "")
    return table


def _verdicts(change: Change) -> bool:
    verdicts = {None if r is None else r.verdict for r in (change.before, change.after)}
    return len(verdicts) > 1


def _cell(result: CheckResult | None) -> str:
    return "–" if result is None else f"{result.verdict} {number(result.measurement.value)}"


def _values(result: CheckResult | None) -> dict[str, Any] | None:
    if result is None:
        return None
    return {
        "verdict": str(result.verdict),
        "value": result.measurement.value,
        "limit": result.limit.value,
    }


def _key(result: CheckResult) -> tuple[str, str, str]:
    return (result.id, result.subject, result.measurement.structure)
