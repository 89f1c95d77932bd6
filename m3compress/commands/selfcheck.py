"""``m3compress validate --selfcheck``: the gate on candidates whose verdict is known."""

from __future__ import annotations

import json
from pathlib import Path

from rich.table import Table
from rich.text import Text

from m3compress.commands.validate import announce, default_folder, with_paths
from m3compress.console import print_json, stage_bar, wide
from m3compress.validate.controls.selfcheck import Outcome, run_controls, to_json
from m3compress.validate.setup.settings import Settings


def run(
    *, settings: Settings, report_dir: Path | None, resume: bool, force: bool, as_json: bool
) -> int:
    """Run all controls and print what the gate said of each; 1 if it was wrong about one.

    A control that does nothing to this model is skipped, and no fault.
    """
    folder = report_dir or default_folder(settings.artefact).with_suffix(".selfcheck")
    with stage_bar() as progress:
        outcomes = run_controls(
            with_paths(settings),
            folder,
            resume=resume,
            force=force,
            progress=progress,
            announce=announce,
        )
    if as_json:
        print_json(json.loads(json.dumps(to_json(outcomes))))
    else:
        wide().print(_table(outcomes))
    announce(f"reports in {folder}")
    return 1 if any(outcome.as_expected is False for outcome in outcomes) else 0


def _table(outcomes: tuple[Outcome, ...]) -> Table:
    table = Table(
        title="the gate tested on controls", show_header=False, box=None, padding=(0, 1, 1, 0)
    )
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for outcome in outcomes:
        control = outcome.control
        must = "fail" if control.seen_by else "pass"
        wrong = "  ← WRONG" if outcome.as_expected is False else ""
        told = Text(f"{control.description}\n")
        if outcome.skipped is not None:
            told.append(f"skipped: {outcome.skipped}")
            table.add_row(Text(control.name, style="bold"), told)
            continue
        told.append(f"must {must}, gate says {outcome.verdict}{wrong}\n", "red" if wrong else "")
        told.append(f"failed: {_failures(outcome)}")
        if outcome.missed_by_rdf is not None and control.seen_by:
            blind = "would have missed it" if outcome.missed_by_rdf else "see it"
            told.append(f"; radial distributions alone {blind}")
        table.add_row(Text(control.name, style="bold"), told)
    return table


def _failures(outcome: Outcome) -> str:
    """The checks that must see a control, and how many more did; all of them where none must."""
    expected = [name for name in outcome.control.seen_by if name in outcome.failed]
    others = [name for name in outcome.failed if name not in expected]
    if not expected:
        return ", ".join(others) or "none"
    return ", ".join(expected) + (f" and {len(others)} more" if others else "")
