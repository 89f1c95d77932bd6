"""`export`, `inspect` and `bench` on real models, and everything that must be refused."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from m3compress.__main__ import main
from m3compress.api import export_model, load_potential, resolve_source
from m3compress.contract import files
from m3compress.contract.manifest import Manifest
from m3compress.errors import M3CompressError, OutputExistsError, ParityError
from m3compress.export.parity import Limits, Tolerance
from m3compress.models.domain import with_domain

BUILTIN = Path(str(resolve_source("builtin")))


def run(*arguments: str) -> int:
    """Exit code of the command line in this process."""
    try:
        return main(list(arguments))
    except SystemExit as stop:
        return int(stop.code or 0)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model, exported once by the command itself."""
    path = tmp_path_factory.mktemp("export") / "silica.m3c.onnx"
    assert run("export", "builtin", "-o", str(path)) == 0
    return path


def test_export_factorizes_and_leaves_two_files(exported: Path) -> None:
    assert sorted(p.name for p in exported.parent.iterdir()) == [
        "silica.m3c.json",
        "silica.m3c.onnx",
    ]
    manifest = Manifest.model_validate_json(
        (exported.parent / "silica.m3c.json").read_text(encoding="utf-8")
    )
    assert manifest.three_body.method == "factorized"
    assert manifest.source.convention == "matgl-4.1"
    assert manifest.parity is not None
    assert manifest.parity.passed
    assert len(manifest.parity.rows) >= 24
    assert max(row.n_atoms for row in manifest.parity.rows) >= 1900
    assert manifest.gate.status == "unvalidated"
    assert manifest.shortest_distances == {"O-O": 1.2227, "O-Si": 1.4456, "Si-Si": 1.9712}


def test_inspect_of_the_artefact(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", str(exported), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["elements"] == ["O", "Si"]
    assert run("inspect", str(exported)) == 0
    assert "factorized" in capsys.readouterr().out


def test_inspect_of_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", "builtin", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["convention"] == "matgl-4.1"
    assert document["three_body_share"]["advice"] == "factorize"
    assert document["three_body_share"]["force_relative"] >= 0.2
    assert document["cost"]["parameters"] > 10_000


def test_labels_decide_what_a_file_and_crystals_dispute(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model of the DGL era in a file of matgl 4, and frames that fit it as it was."""
    model = tmp_path / "model"
    shutil.copytree(shared / "models" / "M3GNet-r2SCAN-NaBH", model)
    arguments = torch.load(model / "model.pt", weights_only=True)
    torch.save({**arguments, "compile_mode": "default"}, model / "model.pt")
    labels = tmp_path / "labels.extxyz"
    potential = load_potential(model, convention="matgl-dgl")
    frames = []
    for seed in range(3):
        atoms = bulk("NaH", "rocksalt", a=4.9)
        atoms.rattle(0.1, seed=seed)
        atoms.calc = SinglePointCalculator(atoms, forces=potential.evaluate(atoms).forces)
        frames.append(atoms)
    write(labels, frames)
    assert run("inspect", str(model)) == 2
    assert "--labels FILE" in " ".join(capsys.readouterr().err.split())
    assert run("inspect", str(model), "--labels", str(labels)) == 0
    shown = capsys.readouterr().out
    assert "matgl-dgl" in shown
    assert "matgl 4.0 or newer: it has compile_mode" in shown
    shortest = with_domain(potential, labels).provenance.shortest
    assert set(shortest) == {"H-H", "H-Na", "Na-Na"}
    assert 1.9 < shortest["H-Na"] < 2.45


@pytest.mark.usefixtures("small_zoo")
def test_dgl_era_checkpoint_is_removed_without_being_told(shared: Path, tmp_path: Path) -> None:
    model = shared / "models" / "M3GNet-r2SCAN-NaBH"
    done = export_model(model, tmp_path / "nabh.m3c.onnx")
    assert done.manifest.three_body.method == "removed"
    assert done.manifest.source.convention == "matgl-dgl"
    assert done.manifest.source.evidence


@pytest.mark.usefixtures("small_zoo")
def test_bench_prints_ratios(
    matgl_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "small.m3c.onnx"
    export_model(matgl_model, output, convention="matgl-4.1")
    arguments = ("--sizes", "36", "--rounds", "1", "--threads", "1", "--json")
    assert run("bench", str(output), "--against", str(matgl_model), *arguments) == 0
    rows = json.loads(capsys.readouterr().out)["measurements"]
    assert [row["engine"] for row in rows] == ["m3compress", "matgl PESCalculator"]
    assert rows[0]["speed_up"] > 0
    assert rows[1]["speed_up"] is None


def test_existing_output_is_kept(exported: Path) -> None:
    before = exported.read_bytes()
    with pytest.raises(OutputExistsError, match="exists"):
        export_model("builtin", exported)
    assert exported.read_bytes() == before


def test_a_flipped_byte_is_refused(exported: Path, tmp_path: Path) -> None:
    for name in ("silica.m3c.onnx", "silica.m3c.json"):
        shutil.copy(exported.parent / name, tmp_path)
    damaged = tmp_path / "silica.m3c.onnx"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    assert run("inspect", str(damaged)) == 2


@pytest.mark.usefixtures("small_zoo")
def test_disagreement_exits_1_and_leaves_nothing(
    matgl_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Tolerance(absolute=1e-12, relative=0.0)
    impossible = Limits(
        energy=1e-12, atom_energy=nothing, force=nothing, stress=nothing, atom_virial=nothing
    )
    monkeypatch.setattr("m3compress.export.write.LIMITS", {"float32": impossible})
    monkeypatch.setattr("m3compress.export.parity.ROUNDINGS", 0.0)
    output = tmp_path / "out.m3c.onnx"
    with pytest.raises(ParityError):
        export_model(matgl_model, output, convention="matgl-4.1", three_body="remove")
    assert ParityError("x").exit_code == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_zoo")
def test_a_full_disk_leaves_nothing(
    matgl_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(M3CompressError, match="No space left") as caught:
        export_model(
            matgl_model, tmp_path / "out.m3c.onnx", convention="matgl-4.1", three_body="remove"
        )
    assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_kill_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    output = tmp_path / "out.m3c.onnx"
    command = [sys.executable, "-m", "m3compress", "export", "builtin", "-o", str(output)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not any(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert any(tmp_path.iterdir()), "the export never began to write"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not output.exists()
    assert not (tmp_path / "out.m3c.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export", "no-such-file.pt"), "does not exist"),
        (("export", "builtin", "--three-body", "shrink"), "--three-body"),
        (("export", "builtin", "--convention", "matgl-9"), "unknown convention"),
        (("inspect", "no-such.m3c.onnx"), "no-such.m3c.onnx"),
        (("bench", "no-such.m3c.onnx"), "no-such.m3c.onnx"),
    ],
)
def test_bad_arguments_exit_2_with_one_error(
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    message = capsys.readouterr().err
    assert words in message
    assert "Traceback" not in message
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_model_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.pt", "model.json", "state.pt"):
        shutil.copy(BUILTIN / name, folder)
    state = folder / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    assert run("export", str(folder), "-o", str(tmp_path / "out.m3c.onnx")) == 2
    assert "hint:" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
