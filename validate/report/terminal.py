"""The table that ends a run: what is not right first, and one line for all that is."""

from __future__ import annotations

import io
from collections import Counter

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from m3compress.validate.report.document import Report
from m3compress.validate.report.words import (
    headline,
    number,
    remark,
    title,
    value_of,
    verdict_word,
    worst_first,
)
from m3compress.validate.result import CheckResult, Tier, Verdict

#: Columns of a file or a log, which have no width of their own.
_WIDTH = 160
_COLORS = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.ERROR: "bold red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.SKIPPED: "dim",
}


def print_report(report: Report, *, strict: bool = False) -> None:
    """Write the report to stdout."""
    wide_console().print(_render(report, strict=strict))


def wide_console() -> Console:
    """Of stdout, wide enough for tables where it is no terminal."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    return console


def render_report(report: Report) -> str:
    """The same as text without colours."""
    stream = io.StringIO()
    Console(file=stream, width=_WIDTH, highlight=False).print(_render(report, strict=False))
    return stream.getvalue()


def _render(report: Report, *, strict: bool) -> Group:
    told = [r for r in worst_first(report.results) if _is_told(r)]
    parts: list[Table | Text] = [_table(told)] if told else []
    parts.append(_summary(report))
    parts += [Text(f"note: {note}", style="yellow") for note in report.notes]
    if report.not_checked:
        parts.append(Text(f"not checked: {'; '.join(report.not_checked)}", style="dim"))
    verdict = report.verdict
    word = verdict_word(verdict)
    if verdict is Verdict.INCONCLUSIVE and strict:
        word += " (counts as failed)"
    parts.append(Text(f"{word}  {headline(report)}", style=_COLORS[verdict]))
    return Group(*parts)


def _is_told(result: CheckResult) -> bool:
    """Whether a line is worth reading: what is not right, and what dynamics measured."""
    if result.verdict is Verdict.SKIPPED or result.subject != "artefact":
        return False
    interesting = result.decides and result.measurement.interval is not None
    return result.verdict is not Verdict.PASS or interesting


def _table(results: list[CheckResult]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("verdict", "check", "value", "limit", "floor", "unit"):
        table.add_column(column, overflow="fold")
    table.add_column("", overflow="fold", min_width=30)
    for result in results:
        table.add_row(
            Text(str(result.verdict), style=_COLORS[result.verdict]),
            Text(title(result)),
            # As Text: in a plain string, rich takes what stands in brackets for a style.
            Text(value_of(result)),
            Text(number(result.limit.value) + ("*" if result.limit.overridden else "")),
            Text(number(result.measurement.floor)),
            Text(result.limit.unit),
            Text(remark(result), style="dim"),
        )
    return table


def _summary(report: Report) -> Text:
    lines = []
    for tier in Tier:
        own = [r for r in report.results if r.tier is tier and r.subject == "artefact"]
        counts = Counter(str(result.verdict) for result in own)
        if own:
            lines.append(f"{tier}: {', '.join(f'{n} {word}' for word, n in counts.items())}")
    if any(result.limit.overridden for result in report.results):
        lines.append("* limit changed by the user")
    return Text("\n".join(lines))
