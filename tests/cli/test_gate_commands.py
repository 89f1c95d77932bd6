"""The commands of the gate: what cannot run ends with 2 and one clear error, at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from m3compress.__main__ import main

pytestmark = pytest.mark.slow


@pytest.fixture
def artefact(silica_artefact: Path) -> Path:
    return silica_artefact


def run(*words: str | Path) -> int:
    try:
        return main([str(word) for word in words])
    except SystemExit as left:
        return int(left.code or 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--limit", "md.rdff=3"], "md.rdf"),
        (["--limit", "md.rdf"], "id=value"),
        (["--timestep", "0"], "timestep"),
        (["--duration", "-1"], "duration"),
        (["--structures", "nowhere.cif"], "nowhere.cif"),
        (["--labels", "nowhere.xyz"], "nowhere.xyz"),
        (["--limits", "nowhere.toml"], "nowhere.toml"),
        (["--resume"], "no run to resume"),
    ],
)
def test_what_cannot_run(
    options: list[str],
    message: str,
    artefact: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code = run("validate", artefact, "--against", "builtin", "--profile", "smoke", *options)
    shown = capsys.readouterr()
    assert code == 2
    assert shown.err.count("error:") == 1
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert not list(tmp_path.glob("**/report.*"))


def test_a_report_directory_that_cannot_be_written(
    artefact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    code = run(
        "validate", artefact, "--against", "builtin", "--report-dir", tmp_path / "file" / "reports"
    )
    assert code == 2
    assert "--report-dir" in capsys.readouterr().err


def test_the_directory_of_another_run(
    artefact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note = tmp_path / "work" / "run.json"
    note.parent.mkdir()
    note.write_text(json.dumps({"artefact": "another"}))
    words = ("validate", artefact, "--against", "builtin", "--report-dir", tmp_path)
    assert run(*words, "--resume") == 2
    assert "another run" in capsys.readouterr().err
    assert json.loads(note.read_text()) == {"artefact": "another"}


def test_verify_of_what_is_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", tmp_path / "nothing.zip") == 2
    assert "nothing.zip" in capsys.readouterr().err


def test_diff_of_what_are_no_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text("{}")
    assert run("report", "diff", tmp_path / "a.json", tmp_path / "a.json") == 2
    assert "schema version" in capsys.readouterr().err
