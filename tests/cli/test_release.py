"""``release`` begins, goes on or refuses, without a gate: what it did before, it does not undo."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from m3compress.__main__ import main
from m3compress.commands import release
from m3compress.contract.backends import manifest_path
from m3compress.contract.locks import alone_in
from m3compress.errors import M3CompressError

Calls = dict[str, list[Any]]


@pytest.fixture(autouse=True)
def calls(silica_artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """A release in its own folder whose export is a copy, and whose gate is killed as it begins."""
    made: Calls = {"exports": [], "runs": []}

    def export(source: str, path: Path, **options: Any) -> None:
        del source
        made["exports"].append(options["three_body"])
        shutil.copyfile(silica_artefact, path)
        shutil.copyfile(manifest_path(silica_artefact), manifest_path(path))

    def gate(settings: Any, folder: Path, **options: Any) -> None:
        del settings
        made["runs"].append((options["resume"], options["force"]))
        (folder / "work").mkdir(exist_ok=True)
        (folder / "work" / "run.json").write_text("{}")
        raise M3CompressError("killed")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(release, "export_model", export)
    monkeypatch.setattr(release, "validate", gate)
    return made


def run(*words: str) -> int:
    try:
        return main(["release", "builtin", *words])
    except SystemExit as left:
        return int(left.code or 0)


def files() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def test_the_same_options_go_on_with_the_file(calls: Calls) -> None:
    assert run() == 2
    for words in ([], ["--three-body", "factorize"]):
        run("--resume", *words)
    assert calls == {"exports": ["auto"], "runs": [(False, False), (True, False), (True, False)]}


@pytest.mark.parametrize(
    ("words", "exported", "asked"),
    [
        (["--three-body", "remove"], "the three-body form factorized", "removed"),
        (["--three-body", "prune=0.5"], "the three-body form factorized", "pruned(0.5)"),
        (["--three-body", "keep"], "the three-body form factorized", "triplets"),
        (["--to", "native"], "builtin.m3c.onnx", "builtin.m3c.safetensors"),
        (["--convention", "mattersim"], "with the convention matgl-4.1", "mattersim"),
    ],
)
def test_another_file_is_not_released_in_place_of_the_one_asked_for(
    words: list[str],
    exported: str,
    asked: str,
    calls: Calls,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run()
    before = files()
    capsys.readouterr()
    assert run("--resume", *words) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert f"the earlier run in builtin.report exported {exported}, you ask for {asked}" in told
    assert "repeat the options of that run" in told
    assert len(calls["runs"]) == 1
    assert files() == before


def test_a_file_in_another_precision_is_not_released(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    monkeypatch.setattr(release, "_PRECISION", "mixed")
    assert run("--resume") == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "exported in the precision float32, you ask for mixed" in told
    assert len(calls["runs"]) == 1


def test_what_is_not_there_is_not_resumed(calls: Calls, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--resume") == 2
    assert "there is no run to resume in builtin.report" in capsys.readouterr().err
    assert (calls["exports"], list(Path().iterdir())) == ([], [])


def test_a_release_that_stopped_before_the_gate_goes_on_with_its_file(
    calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    shutil.rmtree("builtin.report/work")
    before = files()
    assert run() == 2
    assert "builtin.m3c.onnx exists" in capsys.readouterr().err
    assert files() == before
    run("--resume")
    assert calls == {"exports": ["auto"], "runs": [(False, False)] * 2}


def test_an_interrupted_run_can_be_resumed_after_a_refusal(
    calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    Path("builtin.report/builtin.m3c.onnx").touch()
    before = files()
    capsys.readouterr()
    assert run("--three-body", "remove") == 2
    assert "builtin.report holds an earlier run" in capsys.readouterr().err
    assert files() == before
    run("--resume")
    assert calls == {"exports": ["auto"], "runs": [(False, False), (True, False)]}
    run("--force")
    assert calls["exports"] == ["auto", "auto"]
    assert calls["runs"][-1] == (False, True)


@pytest.mark.parametrize("words", [[], ["--force"]])
def test_a_workplace_of_others_is_refused_before_the_export(
    words: list[str], calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("builtin.report/work").mkdir(parents=True)
    Path("builtin.report/work/precious").write_text("")
    assert run(*words) == 2
    assert "is not that of a run: it holds precious" in capsys.readouterr().err
    assert (calls["exports"], list(files())) == ([], ["builtin.report/work/precious"])


def test_the_file_of_a_run_at_work_is_not_replaced(
    calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    with alone_in(Path("builtin.report"), "", ""):
        assert run("--force") == 2
    assert "another run is at work in builtin.report" in capsys.readouterr().err
    assert calls["exports"] == ["auto"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-o", "mine", "--force"], "mine is in the way"),
        (["-o", "mine.zip", "--force"], "mine.zip is a folder"),
        (["-o", "mine"], "mine exists"),
        (["-o", "new", "--report-dir", "new"], "expected two folders"),
        (["-o", "new", "--report-dir", "new/report"], "expected two folders"),
    ],
)
def test_a_place_that_cannot_be_taken_is_refused_before_the_export(
    words: list[str], told: str, calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("mine", "mine.zip"):
        Path(name).mkdir()
        Path(name, "precious").write_text("")
    assert run(*words) == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert (calls["exports"], sorted(files())) == ([], ["mine.zip/precious", "mine/precious"])


def test_what_is_made_of_a_file_has_its_name_without_the_suffix(calls: Calls) -> None:
    Path("quartz.pt").write_bytes(b"")
    assert main(["release", "quartz.pt"]) == 2
    assert calls["exports"] == ["auto"]
    assert Path("quartz.report/quartz.m3c.onnx").is_file()
