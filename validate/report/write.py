"""All reports of a run, in one folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from m3compress.contract.files import write_atomically
from m3compress.errors import M3CompressError
from m3compress.validate.report.document import Report
from m3compress.validate.report.html import html_page
from m3compress.validate.report.junit import junit_xml
from m3compress.validate.report.summary import summary_markdown

#: Where GitHub Actions takes the summary of a step from.
_STEP_SUMMARY = "GITHUB_STEP_SUMMARY"


def require_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written, before anything slow begins.

    Raises:
        M3CompressError: If it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise M3CompressError(
            f"cannot write in {folder}: {error.strerror}", hint="give another --report-dir"
        ) from error


def write_reports(
    report: Report,
    folder: Path,
    *,
    junit: Path | None = None,
    strict: bool = False,
    env: Mapping[str, str] = os.environ,
) -> None:
    """Write report.json, report.html, summary.md and junit.xml.

    Args:
        report: A finished run.
        folder: Where to.
        junit: A second place for junit.xml.
        strict: Whether inconclusive counts as failed.
        env: Environment; ``GITHUB_STEP_SUMMARY`` names a file to append the summary to.

    Raises:
        M3CompressError: If a file cannot be written.
    """
    xml, summary = junit_xml(report, strict=strict), summary_markdown(report)
    write_atomically(folder / "report.json", (report.model_dump_json(indent=1) + "\n").encode())
    write_atomically(folder / "report.html", html_page(report).encode())
    write_atomically(folder / "summary.md", summary.encode())
    write_atomically(folder / "junit.xml", xml)
    if junit is not None:
        write_atomically(junit, xml)
    if env.get(_STEP_SUMMARY):
        _append(Path(env[_STEP_SUMMARY]), summary + "\n")


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise M3CompressError(
            f"cannot append the summary to {path}: {error.strerror}",
            hint=f"unset {_STEP_SUMMARY}, or let it name a file",
        ) from error
