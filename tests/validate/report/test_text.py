"""JUnit, Markdown and the terminal: right counts, nothing escapes, nothing grows too long."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from junitparser import JUnitXml

from m3compress.validate.report.document import Report
from m3compress.validate.report.junit import junit_xml
from m3compress.validate.report.summary import MAX_BYTES, summary_markdown
from m3compress.validate.report.terminal import render_report
from m3compress.validate.result import CheckResult

Make = Callable[..., CheckResult]
MakeReport = Callable[..., Report]

HOSTILE = '<script>alert(1)</script> | ](javascript:x) "><img src=x> \\| `x` @all é\x00\x1b[31m'


@pytest.mark.parametrize(("strict", "failures", "skipped"), [(False, 1, 4), (True, 2, 3)])
def test_junit_counts(full_report: Report, *, strict: bool, failures: int, skipped: int) -> None:
    document = JUnitXml.fromstring(junit_xml(full_report, strict=strict))
    assert (document.tests, document.errors) == (len(full_report.results), 1)
    # Skipped: one absent, two that only inform, and what is inconclusive unless strict.
    assert (document.failures, document.skipped) == (failures, skipped)
    assert {suite.name for suite in document} == {"invariants", "derivatives", "parity", "dynamics"}
    said = junit_xml(full_report).decode()
    assert "would pass at --limit parity.force-mae=0.013" in said
    assert "about 4 times as many ps or replicas" in said


def test_junit_holds_any_text(make_result: Make, make_report: MakeReport) -> None:
    result = make_result("a.b", None, structure=HOSTILE, error=HOSTILE, unit=HOSTILE)
    (suite,) = JUnitXml.fromstring(junit_xml(make_report(result)))
    (case,) = suite
    assert "<script>alert(1)</script> | " in case.name
    assert "é" in case.result[0].message


def test_summary_says_what_is_wrong_first(full_report: Report) -> None:
    text = summary_markdown(full_report)
    lines = text.splitlines()
    assert lines[0] == "## ❌ FAILED"
    assert "the reference breaks permutation symmetry" in text
    assert "parity.labels: no labelled file was given" in text
    shown = text.partition("<details>")[0]
    assert shown.index("grad.forces") < shown.index("parity.force-mae") < shown.index("md.rdf")
    assert "inv.rotation" not in shown
    assert text.count("inv.permutation") == 1


def test_summary_cannot_be_broken(make_result: Make, make_report: MakeReport) -> None:
    bad = make_result("a.b", 2.0, structure=HOSTILE, unit=HOSTILE)
    good = make_result("a.c", 0.5, structure=HOSTILE)
    text = summary_markdown(
        make_report(bad, good, notes=(HOSTILE,), not_checked=(HOSTILE,), command=HOSTILE)
    )
    assert "<script" not in text
    assert "<img" not in text
    assert "@all" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and "script" in line]
    assert len(rows) == 2
    for row in rows:
        assert row.replace("\\|", "").count("|") == 7
        assert "\\\\|" not in row


def test_summary_is_short(make_result: Make, make_report: MakeReport) -> None:
    results = [
        make_result(f"a.b{i}", 0.5 + i % 2, structure=HOSTILE * 50, unit="é|" * 40)
        for i in range(500)
    ]
    notes = tuple(HOSTILE * 100 for _ in range(200))
    text = summary_markdown(make_report(*results, notes=notes, not_checked=notes))
    assert len(text.encode()) < MAX_BYTES
    assert "more in report.html" in text
    assert text.count("\n| ❌") >= 10
    assert text.count("</details>") == 1


def test_terminal_ends_with_the_verdict(full_report: Report) -> None:
    lines = [line.rstrip() for line in render_report(full_report).splitlines()]
    text = "\n".join(lines)
    assert lines[-2].startswith("FAILED  silica.m3c.onnx against builtin, profile smoke: 1 error")
    assert lines[-1] == "compared: numbers on 2 of 2 elements; dynamics of SiO2"
    assert "would pass at --limit parity.force-mae=0.013" in text
    assert "note: the reference breaks permutation symmetry" in text
    assert "not checked: parity.labels: no labelled file was given; other temperatures" in text
    assert "broke | in [two]" in text
    assert "2 [1, 4]" in text
    assert "inv.rotation" not in text


def test_terminal_takes_no_markup(make_result: Make, make_report: MakeReport) -> None:
    nan = float("nan")
    wild = make_result("a.b", nan, interval=(nan, nan), structure="[red]x[/red]", unit="[bold]")
    text = render_report(make_report(wild))
    for part in ("[red]x[/red]", "[bold]", "nan [nan, nan]"):
        assert part in text
    assert "not checked" not in text


def test_terminal_tells_what_strict_means(make_result: Make, make_report: MakeReport) -> None:
    report = make_report(make_result("md.rdf", 0.5, interval=(0.0, 2.0)))
    assert "INCONCLUSIVE (counts as failed)" in render_report(report, strict=True)
    assert "counts as failed" not in render_report(report)


@pytest.mark.parametrize("width", [60, 80, 120, 160, 240])
def test_no_width_cuts_a_word(full_report: Report, width: int) -> None:
    lines = render_report(full_report, width).splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    assert "…" not in "".join(words)
    for result in full_report.results:
        if result.subject == "artefact" and result.verdict not in ("pass", "skipped"):
            assert result.id in words
    for word in ("inconclusive", "quartz", "--limit", "parity.force-mae=0.013", "(rdf_error)"):
        assert any(word in one for one in words)


def test_a_wide_terminal_has_a_table_with_headings(full_report: Report) -> None:
    heading = ["verdict", "check", "value", "limit", "floor", "unit"]
    for width, is_table in ((80, False), (160, True)):
        found = [line.split() for line in render_report(full_report, width).splitlines()]
        assert (heading in found) is is_table


def test_every_report_tells_what_was_changed(make_changed: Callable[[], Report]) -> None:
    report = make_changed()
    said = "md.rdf 9 eV instead of 1, looser"
    option = "--duration 0.1 ps instead of 0.6 ps"
    for text in (render_report(report), render_report(report, 80), summary_markdown(report)):
        flat = " ".join(text.split())
        assert said in flat
        assert option in flat
        assert "against limits that a user loosened (md.rdf)" in flat
    junit = junit_xml(report).decode()
    suites = JUnitXml.fromstring(junit.encode())
    cases = {case.name: case for suite in suites for case in suite}
    assert f"limit changed by the user: {said}" in cases["md.rdf"].system_out
    assert f'<property name="limit_changed" value="{said}"' in junit
    assert "md.adf 0.1 eV instead of 1, tighter" in cases["md.adf"].result[0].message
    assert cases["md.msd"].system_out is None
    properties = {prop.name: prop.value for suite in suites for prop in suite.properties()}
    assert option in properties["changed"]
    assert properties["scope"].startswith("compared against limits that a user loosened")
