"""A summary in Markdown, short enough for a comment, a job summary or a mail."""

from __future__ import annotations

from collections.abc import Sequence

from m3compress.validate.report.document import Report
from m3compress.validate.report.scope import facts, scope
from m3compress.validate.report.words import (
    headline,
    limit_of,
    remark,
    title,
    value_of,
    verdict_word,
    worst_first,
)
from m3compress.validate.result import CheckResult, Verdict

#: GitHub cuts comments at 64 kB and drops longer job summaries altogether beyond 1 MB.
MAX_BYTES = 60_000
_MAX_LINE, _MAX_LINES, _MAX_REMARK, _MAX_FACT = 300, 30, 300, 2_000
#: Markup, links, pictures and names of users, all as the characters that they are.
_SAFE = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        "|": "\\|",
        "\\": "&#92;",
        "[": "\\[",
        "]": "\\]",
        "*": "\\*",
        "@": "&#64;",
        "`": "'",
    }
)
_SIGNS = {
    Verdict.PASS: "✅",
    Verdict.FAIL: "❌",
    Verdict.ERROR: "💥",
    Verdict.INCONCLUSIVE: "❔",
    Verdict.SKIPPED: "➖",
}


def summary_markdown(report: Report) -> str:
    """The summary, always below :data:`MAX_BYTES`."""
    ordered = worst_first(r for r in report.results if r.verdict is not Verdict.SKIPPED)
    told = [r for r in ordered if r.verdict is not Verdict.PASS and r.subject == "artefact"]
    rest = [r for r in ordered if r.verdict is Verdict.PASS or r.subject != "artefact"]
    head = [
        f"## {_SIGNS[report.verdict]} {verdict_word(report.verdict)}",
        "",
        f"**{_plain(scope(report)[:_MAX_LINE])}**",
        "",
        _plain(headline(report)[:_MAX_LINE]),
        "",
        *[f"- {name}: {_plain(_cut(text))}" for name, text in facts(report)],
        "",
        *[f"> **Note** {note}" for note in _few(report.notes)],
        "",
    ]
    tail = ["", f"Not checked: {'; '.join(_few(report.not_checked))}", ""]
    if not report.not_checked:
        tail = [""]
    room = MAX_BYTES - _size(head) - _size(tail) - 1_000
    shown = _table(told, room // 2)
    details = ["<details><summary>all other checks</summary>", ""]
    details += [*_table(rest, room // 2), "", "</details>"]
    return "\n".join([*head, *shown, *(details if rest else []), *tail])


def _table(results: list[CheckResult], room: int) -> list[str]:
    if not results:
        return []
    lines = ["| | check | value | limit | unit | |", "|---|---|--:|--:|---|---|"]
    for index, result in enumerate(results):
        name = _plain(title(result)[:_MAX_LINE])
        line = (
            f"| {_SIGNS[result.verdict]} | {name} | {value_of(result)} | "
            f"{_plain(limit_of(result))} | {_plain(result.limit.unit)} | "
            f"{_plain(remark(result)[:_MAX_REMARK])} |"
        )
        if _size([*lines, line]) > room:
            lines.append(f"| | … and {len(results) - index} more in report.html | | | | |")
            break
        lines.append(line)
    return lines


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_FACT else f"{text[:_MAX_FACT]} … more in report.html"


def _few(lines: Sequence[str]) -> list[str]:
    """So many lines, and so much of each, that the tables find room."""
    shown = [_plain(line[:_MAX_LINE]) for line in lines[:_MAX_LINES]]
    more = len(lines) - len(shown)
    return [*shown, f"… and {more} more in report.html"] if more else shown


def _size(lines: list[str]) -> int:
    return len("\n".join(lines).encode())


def _plain(text: str) -> str:
    """Text that cannot become markup or break a table."""
    return " ".join(text.split()).translate(_SAFE)
