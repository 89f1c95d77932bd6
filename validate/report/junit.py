"""JUnit XML: one suite per tier, one case per check and structure."""

from __future__ import annotations

import re

from junitparser import Error, Failure, JUnitXml, Properties, Property, Skipped, TestCase, TestSuite

from m3compress.validate.report.document import Report
from m3compress.validate.report.overrides import Override, overrides_of
from m3compress.validate.report.scope import facts, scope
from m3compress.validate.report.words import number, remark, value_of
from m3compress.validate.result import CheckResult, Tier, Verdict

_FORBIDDEN = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


def junit_xml(report: Report, *, strict: bool = False) -> bytes:
    """The document.

    Args:
        report: A finished run.
        strict: Write what is inconclusive as a failure rather than as skipped.
    """
    document = JUnitXml("m3compress validate")
    changed = {override.name: override for override in overrides_of(report)}
    told = [("scope", scope(report)), *facts(report)]
    for tier in Tier:
        results = [result for result in report.results if result.tier is tier]
        if not results:
            continue
        suite = TestSuite(str(tier))
        for name, said in told:
            suite.add_property(name, _clean(said))
        for result in results:
            suite.add_testcase(_case(result, changed.get(result.id), strict=strict))
        document.add_testsuite(suite)
    text: bytes = document.tostring()
    return text


def _clean(text: str) -> str:
    """Text without the control characters that XML 1.0 cannot hold, escaped or not."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def _case(result: CheckResult, changed: Override | None, *, strict: bool) -> TestCase:
    structure = result.measurement.structure
    name = f"{result.id}[{structure}]" if structure else result.id
    case = TestCase(
        _clean(name), f"m3compress.{result.tier}.{result.subject}", round(result.seconds, 3)
    )
    marked = _clean(f"limit changed by the user: {changed}") if changed else ""
    outcome = _outcome(result, marked, strict=strict)
    if outcome is not None:
        case.result = [outcome]
    if marked:
        # What passed has no message.
        case.system_out = marked
    properties = Properties()
    for key, value in (
        ("value", value_of(result)),
        ("limit", number(result.limit.value)),
        ("unit", result.limit.unit),
        ("floor", number(result.measurement.floor)),
        ("mandatory", str(result.decides).lower()),
        *((("limit_changed", str(changed)),) if changed else ()),
    ):
        properties.add_property(Property(key, _clean(value)))
    case.append(properties)
    return case


def _outcome(result: CheckResult, marked: str, *, strict: bool) -> Error | Failure | Skipped | None:
    why = _clean(remark(result))
    said = _clean(f"{value_of(result)} {result.limit.unit}, limit {number(result.limit.value)}")
    said = "; ".join(part for part in (said, why, marked) if part)
    if result.verdict is Verdict.PASS:
        return None
    if result.verdict is Verdict.SKIPPED:
        return Skipped(why)
    if not result.decides:
        # What only informs must not turn a build red.
        return Skipped(f"informs only: {result.verdict}: {said}")
    if result.verdict is Verdict.ERROR:
        return Error(why)
    if result.verdict is Verdict.INCONCLUSIVE and not strict:
        return Skipped(f"inconclusive: {said}")
    return Failure(f"{_clean(result.measures)}: {said}")
