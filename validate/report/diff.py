"""What changed between two reports."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from m3compress.validate.report.document import Report
from m3compress.validate.report.words import limit_of, number, title
from m3compress.validate.result import VALUES, CheckResult, Verdict

#: Check, subject and structure.
Key = tuple[str, str, str]
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
        key: Check, subject and structure; no structure where the worst of many stands for all.
        before: Earlier result.
        after: Later result.
    """

    key: Key
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
        before, after = (None if r is None else r.measurement.value for r in self._both)
        if before is None or after is None or before == after:
            return 1.0
        ratio = math.inf if before == 0 else after / before
        return math.inf if math.isnan(ratio) else ratio

    @property
    def judged_anew(self) -> bool:
        """Whether the verdict is another one, or there is none before or after."""
        return len({None if r is None else r.verdict for r in self._both}) > 1

    @property
    def is_told(self) -> bool:
        """Whether it is worth a line: another verdict or value, or a limit that a user changed."""
        if self.worse or self.judged_anew or abs(self.factor - 1) > 0.01:
            return True
        limits = [r.limit for r in self._both if r is not None]
        return limits[0] != limits[-1] and any(limit.overridden for limit in limits)

    @property
    def _both(self) -> tuple[CheckResult | None, CheckResult | None]:
        return self.before, self.after


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
    results = (*before.results, *after.results)
    worst_of_many = {result.id for result in results if VALUES in result.measurement.evidence}
    old, new = (_by_key(report.results, worst_of_many) for report in (before, after))
    changes = [Change(key, old.get(key), new.get(key)) for key in {**old, **new}]
    return Difference(tuple(sorted(changes, key=lambda c: (not c.worse, -c.factor, c.key))))


def render_diff(found: Difference) -> Table:
    """A table of what changed by more than a percent, in its verdict, or by a user's limit."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("check", "before → after"):
        table.add_column(column, overflow="fold")
    for change in found.changes:
        now = change.after or change.before
        if now is None or not change.is_told:
            continue
        table.add_row(
            Text(title(now)),
            Text(f"{_cell(change.before)} → {_cell(change.after)}, limit {_limits(change)}"),
            style="red" if change.worse else "",
        )
    if not table.row_count:
        table.add_row("no check changed", "")
    return table


def _limits(change: Change) -> str:
    """One, or both where they differ: a check may pass for another limit alone."""
    before, after = (None if r is None else limit_of(r) for r in (change.before, change.after))
    if before is None or after is None or before == after:
        return str(after or before)
    return f"{before} → {after}"


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


def _by_key(
    results: Iterable[CheckResult], worst_of_many: Container[str]
) -> dict[Key, CheckResult]:
    """Results by their check, subject and structure; of several for one key the worst."""
    found: dict[Key, CheckResult] = {}
    for result in results:
        # Which structure is the worst may change from run to run: the check is the same.
        structure = "" if result.id in worst_of_many else result.measurement.structure
        key = result.id, result.subject, structure
        found[key] = max(found.get(key, result), result, key=lambda one: _RANK[one.verdict])
    return found
