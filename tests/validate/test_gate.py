"""What a run may take away: an earlier run of the gate, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from m3compress.errors import M3CompressError
from m3compress.validate import gate
from m3compress.validate.gate import holds_run, require_ours, validate, workplace_in
from m3compress.validate.setup.settings import Settings

Left = list[list[str]]


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> Left:
    """What the workplace holds where a run claims it; nothing is measured."""
    seen: Left = []

    def claim(folder: Path, *_: object, **__: object) -> None:
        seen.append(sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()))
        raise M3CompressError("that is enough")

    monkeypatch.setattr(gate, "open_context", lambda *_: None)
    monkeypatch.setattr(Settings, "fingerprint", lambda _: {})
    monkeypatch.setattr(gate, "claim_workplace", claim)
    return seen


def begin(folder: Path, *, force: bool) -> None:
    settings = Settings(artefact=folder / "no.m3c.onnx", model="builtin", profile="smoke")
    with pytest.raises(M3CompressError, match="that is enough"):
        validate(settings, folder, force=force)


def fill(work: Path, *names: str) -> None:
    for name in names:
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text("{}")


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["precious", "results/md.rdf.artefact.json"])
def test_files_of_others_are_neither_removed_nor_taken_over(
    name: str, *, force: bool, tmp_path: Path
) -> None:
    fill(tmp_path / "work", name)
    settings = Settings(artefact=tmp_path / "no.m3c.onnx", model="builtin")
    with pytest.raises(M3CompressError, match=r"work is not that of a run.*run\.json") as caught:
        validate(settings, tmp_path, force=force)
    assert "--report-dir" in str(caught.value.hint)
    assert caught.value.exit_code == 2
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()] == [
        f"work/{name}"
    ]


def test_force_removes_an_earlier_run(tmp_path: Path, left: Left) -> None:
    fill(tmp_path / "work", "run.json", "results/a.json", "trajectories/b/c.npz")
    assert holds_run(tmp_path)
    begin(tmp_path, force=True)
    assert left == [[]]
    assert not holds_run(tmp_path)


def test_without_force_an_earlier_run_stays(tmp_path: Path, left: Left) -> None:
    fill(tmp_path / "work", "run.json", "results/a.json")
    begin(tmp_path, force=False)
    assert left == [["results/a.json", "run.json"]]


def test_a_kill_while_an_earlier_run_is_removed_leaves_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "work", "run.json", "results/a.json", "trajectories/b.npz", "z")

    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for where, name in ((Path, "unlink"), (gate.shutil, "rmtree")):
        with monkeypatch.context() as patched:
            patched.setattr(where, name, kill)
            with pytest.raises(KeyboardInterrupt):
                gate._clear(tmp_path / "work")
        assert holds_run(tmp_path)


def test_absent_empty_and_barely_begun_workplaces_are_free(tmp_path: Path) -> None:
    work = workplace_in(tmp_path)
    require_ours(work)
    work.mkdir()
    require_ours(work)
    (work / ".run.json.123.tmp").write_text("{")
    require_ours(work)
