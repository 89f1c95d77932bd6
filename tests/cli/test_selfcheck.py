"""The table of controls: what had to be seen first, and no list of thirty checks."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace

import pytest
from rich.console import Console

from m3compress.commands import selfcheck
from m3compress.commands.selfcheck import _table
from m3compress.validate.controls.selfcheck import CONTROLS, NEGATIVE, POSITIVE, Outcome
from m3compress.validate.result import Verdict
from m3compress.validate.setup.settings import Settings


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
        outcome(POSITIVE[0], Verdict.FAIL, POSITIVE[0].seen_by, missed=None),
    )
    Console(file=stream, width=200).print(_table(outcomes))
    first, second, third, fourth = re.split(r"\n\s*\n", stream.getvalue().rstrip())
    assert "must pass, gate says fail  ← WRONG" in first
    assert "failed: md.rdf, md.adf" in first
    assert "failed: md.temperature and 2 more; radial distributions alone see it" in second
    assert "more" not in third
    assert "alone would have missed it" in third
    assert "alone" not in fourth, "they were not computed"


@pytest.mark.parametrize("as_json", [False, True])
def test_a_skipped_control_says_why_and_is_no_fault(as_json, tmp_path, monkeypatch, capsys):
    reason = "removing the three-body block moves forces by 0.03 meV/Å, so that nobody can see it"
    skipped = replace(
        outcome(POSITIVE[3], Verdict.SKIPPED, (), expected=None, missed=None), skipped=reason
    )
    found = (outcome(NEGATIVE, Verdict.PASS, ()), skipped)
    monkeypatch.setattr(selfcheck, "run_controls", lambda *args, **options: found)
    monkeypatch.setattr(selfcheck, "with_paths", lambda settings: settings)
    settings = Settings(artefact=tmp_path / "a.m3c.onnx", model="model")
    options = {"report_dir": tmp_path, "resume": False, "force": False, "as_json": as_json}
    assert selfcheck.run(settings=settings, **options) == 0
    said = capsys.readouterr().out
    if as_json:
        row = json.loads(said)[1]
        assert (row["verdict"], row["as_expected"], row["skipped"]) == ("skipped", None, reason)
    else:
        assert f"skipped: {reason}" in " ".join(said.split())
        assert "WRONG" not in said
    found = (*found, outcome(POSITIVE[0], Verdict.PASS, (), expected=False))
    assert selfcheck.run(settings=settings, **options) == 1


def test_a_narrow_terminal_cuts_no_name():
    stream = io.StringIO()
    outcomes = tuple(outcome(c, Verdict.FAIL, c.seen_by, missed=True) for c in CONTROLS)
    Console(file=stream, width=80).print(_table(outcomes))
    words = [word.strip(",;") for word in stream.getvalue().split()]
    assert max(map(len, stream.getvalue().splitlines())) <= 80
    for control in CONTROLS:
        assert {control.name, *control.seen_by} <= set(words)
        assert control.description.split()[-1] in words
