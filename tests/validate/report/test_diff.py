"""Two reports are compared check by check."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable

from rich.console import Console

from m3compress.validate.report.diff import Difference, diff_reports, render_diff
from m3compress.validate.report.document import Report
from m3compress.validate.result import VALUES, CheckResult

Make = Callable[..., CheckResult]
MakeReport = Callable[..., Report]


def shown(found: Difference, width: int = 160) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(render_diff(found))
    return stream.getvalue()


def test_regressions_improvements_and_what_vanished(
    make_result: Make, make_report: MakeReport
) -> None:
    before = make_report(
        make_result("a.worse", 0.5, structure="[red]x[/red]"),
        make_result("a.better", 2.0),
        make_result("a.gone", 0.5),
        make_result("a.forgotten", 0.5, mandatory=False),
        make_result("a.same", 0.5),
    )
    after = make_report(
        make_result("a.worse", 1.5, structure="[red]x[/red]"),
        make_result("a.better", 0.2),
        make_result("a.same", 0.501),
        make_result("a.new", 9.0),
    )
    found = diff_reports(before, after)
    assert {change.key[0] for change in found.regressions} == {"a.worse", "a.gone"}
    # The worse ones stand first.
    assert [change.worse for change in found.changes] == [True, True, False, False, False, False]
    text = shown(found)
    for part in ("a.worse", "pass 0.5", "fail 1.5", "a.better", "a.gone", "a.new", "[red]x[/red]"):
        assert part in text
    assert "a.same" not in text
    rows = json.loads(json.dumps(found.to_json()))
    assert len(rows) == 6
    assert rows[0]["worse"] is True


def test_a_number_that_is_none_is_told(make_result: Make, make_report: MakeReport) -> None:
    values = [0.0, 0.5, math.nan, None]
    before = make_report(*[make_result(f"a.b{i}", 0.5) for i in range(4)])
    after = make_report(*[make_result(f"a.b{i}", value) for i, value in enumerate(values)])
    found = diff_reports(before, after)
    assert {change.key[0] for change in found.regressions} == {"a.b2", "a.b3"}
    assert "a.b0" in shown(found)
    grown = diff_reports(make_report(make_result("a.b", 0.0)), make_report(make_result("a.b", 0.5)))
    assert grown.changes[0].factor == math.inf


def test_a_report_equals_itself(full_report: Report) -> None:
    found = diff_reports(full_report, full_report)
    assert not found.regressions
    assert "no check changed" in shown(found)


def test_another_worst_structure_is_no_regression(
    make_result: Make, make_report: MakeReport
) -> None:
    def worst(structure: str, value: float, **changes: object) -> CheckResult:
        return make_result(
            "a.many", value, structure=structure, evidence={VALUES: {structure: value}}, **changes
        )

    before = make_report(worst("quartz", 0.5))
    assert not diff_reports(before, make_report(worst("rutile", 0.6))).regressions
    (failed,) = diff_reports(before, make_report(worst("rutile", 1.5))).changes
    assert failed.worse
    # One that could not be measured counts beside the worst of the others.
    broken = make_result("a.many", None, structure="halite", error="it broke")
    (change,) = diff_reports(before, make_report(worst("rutile", 0.4), broken)).changes
    assert change.worse


def test_a_narrow_terminal_cuts_no_name(make_result: Make, make_report: MakeReport) -> None:
    name, structure = "inv.equivalent-cells", "SiO2-cristobalite-strained O-Si"
    before = make_report(make_result(name, 0.5, structure=structure))
    wide = make_result(name, 0.9, structure=structure, interval=(0.5, 1.5))
    text = shown(diff_reports(before, make_report(wide)), 80)
    assert max(map(len, text.splitlines())) <= 80
    for word in ("check", "before", "after", name, *structure.split(), "inconclusive"):
        assert word in text.split()


def test_another_limit_is_told(make_result: Make, make_report: MakeReport) -> None:
    before = make_report(make_result("a.b", 1.5))
    after = make_report(make_result("a.b", 1.5, 2.0, shipped=1.0))
    assert "fail 1.5 → pass 1.5, limit 1 → 2*" in shown(diff_reports(before, after))
    before = make_report(make_result("a.b", 0.5))
    after = make_report(make_result("a.b", 0.5, 9.0, shipped=1.0))
    assert "pass 0.5 → pass 0.5, limit 1 → 9*" in shown(diff_reports(before, after))
    assert "no check changed" in shown(diff_reports(after, after))
