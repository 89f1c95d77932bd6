"""``m3compress validate``: run an exported file against the model it came from, and judge it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from m3compress.api import resolve_source
from m3compress.commands.teacher import with_given_teacher
from m3compress.console import print_json, stage_bar, stderr, wide
from m3compress.engines.artefact import load_artefact
from m3compress.validate.gate import validate
from m3compress.validate.report.document import Report, exit_code
from m3compress.validate.report.terminal import report_table
from m3compress.validate.setup.settings import Settings


def run(
    *,
    settings: Settings,
    teacher: str | None = None,
    report_dir: Path | None,
    junit: Path | None,
    resume: bool,
    force: bool,
    strict: bool,
    as_json: bool,
) -> int:
    """Validate, print, and return the exit code."""
    folder = report_dir or default_folder(settings.artefact)
    with stage_bar() as progress:
        report = validate(
            with_given_teacher(with_paths(settings), teacher, folder),
            folder,
            junit=junit,
            resume=resume,
            force=force,
            strict=strict,
            progress=progress,
            announce=announce,
        )
    finish(report, folder, strict=strict, as_json=as_json)
    return exit_code(report.verdict, strict=strict)


def announce(line: str) -> None:
    """Say on stderr what is about to happen."""
    stderr().print(f"  {line}", markup=False)


def with_paths(settings: Settings) -> Settings:
    """The settings with the path of the model in place of ``builtin``."""
    return replace(settings, model=str(resolve_source(settings.model)))


def default_folder(artefact: Path) -> Path:
    """Where the reports go: ``model.m3c.onnx`` → ``model.report`` in the current folder."""
    return Path(load_artefact(artefact).path.name.partition(".m3c.")[0] + ".report")


def finish(report: Report, folder: Path, *, strict: bool, as_json: bool) -> None:
    """Write the result to stdout and where the files are to stderr."""
    if as_json:
        print_json(json.loads(report.model_dump_json()))
    else:
        console = wide()
        console.print(report_table(report, console.width, strict=strict))
    announce(f"reports in {folder}: report.html, report.json, junit.xml, summary.md")
