"""The fixture of the gate in somebody else's tests."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from m3compress.validate import gate
from m3compress.validate.run import CHECKS

pytest_plugins = ("pytester",)

#: One check in place of all: which ones run is not the business of the fixture.
ONE_CHECK = [check for check in CHECKS if check.id == "parity.force-mae"]

TEST = """
def test_model(m3compress_gate):
    m3compress_gate({artefact!r}, against="builtin", {options})
"""


def test_options_are_refused_like_on_the_command_line(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    pytester.makepyfile(TEST.format(artefact=str(tmp_path / "none.m3c.onnx"), options=""))
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*none.m3c.onnx*"])


@pytest.mark.parametrize("option", ["structures", "labels", "limits"])
def test_files_may_be_text(option: str, pytester: pytest.Pytester, silica_artefact: Path) -> None:
    pytester.makepyfile(TEST.format(artefact=str(silica_artefact), options=f"{option}='none.xyz'"))
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Error*none.xyz*"])


def test_an_unknown_profile_is_told_the_ones_that_exist(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--m3compress-profile", "thorough")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*choose from*smoke*ci*release*"])


def test_a_test_fails_with_the_table_of_checks(
    pytester: pytest.Pytester,
    silica_artefact: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # No export is exact to the last bit, so that a limit of zero fails whatever is run.
    options = "duration=0.3, n_replicas=2, limit=('parity.force-mae=0',)"
    monkeypatch.setattr(gate, "validate", partial(gate.validate, checks=ONE_CHECK))
    pytester.makepyfile(TEST.format(artefact=str(silica_artefact), options=options))
    result = pytester.runpytest_inprocess("--m3compress-report-dir", str(tmp_path))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*silica*: fail*", "*parity.force-mae*"])
    assert (tmp_path / "silica" / "report.html").is_file()
