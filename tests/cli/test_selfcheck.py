"""The table of controls: what had to be seen first, and no list of thirty checks."""

from __future__ import annotations

import io

from rich.console import Console

from m3compress.commands.selfcheck import _table
from m3compress.validate.controls.selfcheck import NEGATIVE, POSITIVE, Outcome
from m3compress.validate.result import Verdict


def outcome(control, verdict, failed, *, expected=True, missed=False) -> Outcome:
    return Outcome(
        control=control,
        seed=0,
        verdict=verdict,
        failed=failed,
        as_expected=expected,
        missed_by_rdf=missed,
    )


def test_the_table_names_what_had_to_fail_and_what_was_wrong():
    hot = next(control for control in POSITIVE if control.name == "too-hot")
    stream = io.StringIO()
    outcomes = (
        outcome(NEGATIVE, Verdict.FAIL, ("md.rdf", "md.adf"), expected=False),
        outcome(hot, Verdict.FAIL, ("md.rdf", "md.temperature", "md.adf")),
        outcome(POSITIVE[0], Verdict.FAIL, POSITIVE[0].seen_by, missed=True),
    )
    Console(file=stream, width=200).print(_table(outcomes))
    lines = [line for line in stream.getvalue().splitlines() if "│" in line]
    assert "WRONG" in lines[0]
    assert "md.rdf, md.adf" in lines[0]
    assert "md.temperature and 2 more" in lines[1]
    assert "sees it" in lines[1]
    assert "more" not in lines[2]
    assert "would have missed it" in lines[2]
