"""``m3compress report diff``: what changed from one validation to the next."""

from __future__ import annotations

from pathlib import Path

from m3compress.console import print_json, wide
from m3compress.validate.report.diff import diff_reports, render_diff
from m3compress.validate.report.document import read_json


def run_diff(*, before: Path, after: Path, as_json: bool) -> int:
    """Print the changes; 1 if a check got worse."""
    found = diff_reports(read_json(before), read_json(after))
    if as_json:
        print_json(found.to_json())
    else:
        wide().print(render_diff(found))
    return 1 if found.regressions else 0
