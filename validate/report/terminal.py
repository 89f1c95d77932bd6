"""The table that ends a run: what is not right first, and one line for all that is."""

from __future__ import annotations

import io
from collections import Counter
from typing import Final

from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from m3compress.validate.report.document import Report
from m3compress.validate.report.scope import facts, scope
from m3compress.validate.report.words import (
    headline,
    limit_of,
    number,
    remark,
    title,
    value_of,
    verdict_word,
    worst_first,
)
from m3compress.validate.result import CheckResult, Tier, Verdict

_WIDTH: Final = 160  # columns of a log
_COLUMNS: Final = ("verdict", "check", "value", "limit", "floor", "unit")
#: Columns that a remark needs to be read with ease.
_REMARK: Final = 30
_COLORS = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.ERROR: "bold red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.SKIPPED: "dim",
}


def render_report(report: Report, width: int = _WIDTH, *, strict: bool = False) -> str:
    """The report as text without colours."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False)
    console.print(report_table(report, width, strict=strict))
    return stream.getvalue()


def report_table(report: Report, width: int, *, strict: bool = False) -> Group:
    """The report for a terminal.

    Args:
        report: A finished run.
        width: Columns of the terminal; in few, results are paragraphs instead of lines.
        strict: Whether inconclusive counts as failed.
    """
    told = [r for r in worst_first(report.results) if _is_told(r)]
    parts: list[Table | Text] = [_results(told, width)] if told else []
    parts.append(_summary(report))
    parts += [Text(f"note: {note}", style="yellow") for note in report.notes]
    if report.not_checked:
        parts.append(Text(f"not checked: {'; '.join(report.not_checked)}", style="dim"))
    parts.append(_facts(report))
    verdict = report.verdict
    word = verdict_word(verdict)
    if verdict is Verdict.INCONCLUSIVE and strict:
        word += " (counts as failed)"
    parts.append(Text(f"{word}  {headline(report)}", style=_COLORS[verdict]))
    parts.append(Text(scope(report), style=_COLORS[verdict]))
    return Group(*parts)


def _facts(report: Report) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in facts(report):
        grid.add_row(Text(name), Text(text, style="yellow" if name == "changed" else ""))
    return grid


def _is_told(result: CheckResult) -> bool:
    """Whether a line is worth reading: what is not right, and what dynamics measured."""
    if result.verdict is Verdict.SKIPPED or result.subject != "artefact":
        return False
    interesting = result.decides and result.measurement.interval is not None
    return result.verdict is not Verdict.PASS or interesting


def _results(results: list[CheckResult], width: int) -> Table:
    """A table, or where that would break names, a paragraph for each result."""
    cells = [
        (
            str(result.verdict),
            title(result),
            value_of(result),
            limit_of(result),
            number(result.measurement.floor),
            result.limit.unit,
        )
        for result in results
    ]
    widths = [max(map(cell_len, column)) for column in zip(_COLUMNS, *cells, strict=True)]
    if sum(widths) + len(widths) + _REMARK > width:
        return _paragraphs(results)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in _COLUMNS:
        table.add_column(column, no_wrap=True)
    table.add_column("", overflow="fold")
    for result, row in zip(results, cells, strict=True):
        # As Text: in a plain string, rich takes what stands in brackets for a style.
        verdict, *others = map(Text, row)
        verdict.stylize(_COLORS[result.verdict])
        table.add_row(verdict, *others, Text(remark(result), style="dim"))
    return table


def _paragraphs(results: list[CheckResult]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for result in results:
        floor = result.measurement.floor
        told = Text.assemble((title(result), "bold"))
        told.append(f"\n{value_of(result)} {result.limit.unit}, limit {limit_of(result)}")
        told.append("" if floor is None else f", floor {number(floor)}")
        told.append(f"; {why}" if (why := remark(result)) else "", "dim")
        grid.add_row(Text(str(result.verdict), style=_COLORS[result.verdict]), told)
    return grid


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
