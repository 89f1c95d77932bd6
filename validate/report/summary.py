"""A summary in Markdown, short enough for a comment, a job summary or a mail."""

from __future__ import annotations

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
from m3compress.validate.result import CheckResult, Verdict

#: GitHub cuts comments at 64 kB and drops longer job summaries altogether beyond 1 MB.
MAX_BYTES = 60_000
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
    rest = [r for r in ordered if r not in told]
    head = [
        f"## {_SIGNS[report.verdict]} {verdict_word(report.verdict)}",
        "",
        _plain(headline(report)),
        "",
        *[f"> **Note** {_plain(note)}" for note in report.notes],
        "",
    ]
    tail = ["", "Not checked: " + _plain("; ".join(report.not_checked)), ""]
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
        line = (
            f"| {_SIGNS[result.verdict]} | {_plain(title(result))} | {value_of(result)} | "
            f"{number(result.limit.value)} | {_plain(result.limit.unit)} | "
            f"{_plain(remark(result))[:300]} |"
        )
        if _size([*lines, line]) > room:
            lines.append(f"| | … and {len(results) - index} more in report.html | | | | |")
            break
        lines.append(line)
    return lines


def _size(lines: list[str]) -> int:
    return len("\n".join(lines).encode())


def _plain(text: str) -> str:
    """Text that cannot become markup or break a table."""
    text = " ".join(text.split())
    for sign, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("`", "'")):
        text = text.replace(sign, safe)
    return text
