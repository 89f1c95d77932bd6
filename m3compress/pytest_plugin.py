"""Fixture ``m3compress_gate``: the release gate as a test of a model repository.

::

    def test_model(m3compress_gate):
        m3compress_gate("model.m3c.onnx", against="model/")

Loaded by pytest wherever m3compress is installed, so it imports nothing slow before the fixture is
used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from m3compress.validate.report.document import Report

GateFunction = Callable[..., "Report"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the gate."""
    from m3compress.validate.setup.profiles import PROFILES

    group = parser.getgroup("m3compress", "release gate of m3compress")
    group.addoption(
        "--m3compress-profile",
        default="smoke",
        choices=tuple(PROFILES),
        help="how much the gate measures, where a test does not say it (default: smoke)",
    )
    group.addoption(
        "--m3compress-report-dir",
        default=None,
        metavar="DIR",
        help="keep the reports here, one folder per artefact (default: a temporary folder)",
    )


@pytest.fixture
def m3compress_gate(request: pytest.FixtureRequest, tmp_path: Path) -> GateFunction:
    """Run the release gate on an exported file; the test fails unless everything passed.

    The function takes the exported file, ``against`` (the trained model), ``profile``, and the
    other fields of :class:`m3compress.validate.setup.settings.Settings`, and returns the report.
    """
    kept = request.config.getoption("--m3compress-report-dir")
    profile = request.config.getoption("--m3compress-profile")

    def run(artefact: str | Path, *, against: str | Path, **settings: Any) -> Report:
        from m3compress.api import resolve_source
        from m3compress.validate.gate import validate
        from m3compress.validate.report.terminal import render_report
        from m3compress.validate.result import Verdict
        from m3compress.validate.setup.settings import Settings

        chosen = Settings(
            artefact=Path(artefact),
            model=str(resolve_source(against)),
            **{"profile": profile, **settings},
        )
        name = Path(artefact).name.partition(".m3c.")[0]
        folder = tmp_path / "report" if kept is None else Path(kept) / name
        report = validate(chosen, folder, force=True)
        if report.verdict is not Verdict.PASS:
            pytest.fail(f"{artefact}: {report.verdict}\n{render_report(report)}", pytrace=False)
        return report

    return run
