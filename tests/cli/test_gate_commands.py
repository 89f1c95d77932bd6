"""The commands of the gate: what cannot run ends with 2 and one clear error, at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from m3compress.__main__ import main
from m3compress.api import load_potential
from m3compress.models.structures.crystals import build_crystal
from m3compress.models.student_record import Domain, StudentRecord, write_student

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
    # A lock is not taken away: another process may wait at it.
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert left == ([".lock"] if options == ["--resume"] else [])
    assert options == ["--resume"] or not any(tmp_path.iterdir())


@pytest.fixture
def student(artefact: Path, tmp_path: Path) -> list[str | Path]:
    """Words that validate the built-in model as a student of nobody in particular."""
    potential = load_potential("builtin")
    quartz = build_crystal("SiO2-quartz")
    domain = Domain.of([quartz], [300.0, 900.0], potential.cutoff)
    record = StudentRecord(teacher={}, data={}, recipe={}, errors={}, domain=domain)
    write_student(potential, record, tmp_path / "student.m3c.safetensors")
    # Of the same weights: only the hash of their file is another one.
    digest = load_potential(tmp_path / "student.m3c.safetensors").provenance.sha256
    document = json.loads(artefact.with_suffix(".json").read_text(encoding="utf-8"))
    document["source"]["sha256"] = digest
    copied = shutil.copyfile(artefact, tmp_path / "student.m3c.onnx")
    copied.with_suffix(".json").write_text(json.dumps(document), encoding="utf-8")
    against = ("--against", tmp_path / "student.m3c.safetensors")
    return ["validate", copied, *against, "--profile", "smoke", "--report-dir", tmp_path / "r"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--teacher", "ase:no.such.module:Calculator"], "import no.such.module"),
        (["--teacher", "ase:ase.calculators.emt:EMT"], "raised NotImplementedError"),
        (["--teacher", "nowhere.m3c.onnx"], "nowhere.m3c.onnx"),
        (["--teacher", "builtin", "--selfcheck"], "--selfcheck"),
        (["--teacher", "builtin", "--structures", "nowhere.cif"], "nowhere.cif"),
    ],
)
def test_what_is_no_teacher(
    options: list[str],
    message: str,
    student: list[str | Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = run(*student, *options)
    shown = capsys.readouterr()
    assert (code, shown.err.count("error:")) == (2, 1)
    assert message in shown.err
    assert not list(tmp_path.glob("**/report.*"))
    assert not list(tmp_path.glob("*.report"))


def test_a_model_that_is_no_student(
    artefact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("validate", artefact, "--against", "builtin", "--report-dir", tmp_path)
    assert run(*words, "--teacher", "builtin") == 2
    assert "is no student" in capsys.readouterr().err


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
