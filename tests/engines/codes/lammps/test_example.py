"""A deck that runs at once, and what is said where it does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from md_codes import require

require("lammps")

from m3compress.__main__ import main  # noqa: E402
from m3compress.engines.codes.lammps import example, folder  # noqa: E402
from m3compress.engines.codes.lammps.folder import path_for_lammps  # noqa: E402
from m3compress.errors import M3CompressError, MissingDependencyError  # noqa: E402
from m3compress.models.structures.crystals import build_crystal  # noqa: E402

SCRIPTS = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[4]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*arguments):
    try:
        return main(["lammps", *map(str, arguments)])
    except SystemExit as end:
        return end.code


def test_a_deck_agrees_with_ase_and_runs(plugin, silica_native, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(example, "_LARGEST", 40)
    output = tmp_path / "deck"
    command = ("example", silica_native, "-o", output)
    assert run(*command, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["holds"]
    assert 0 < document["n_atoms"] <= 100
    assert document["force"] <= 5e-5
    assert run(*command) == 2
    assert "is not empty" in capsys.readouterr().err
    done = subprocess.run(
        ["bash", output / "run.sh", "2", "-var", "steps", "2"],
        env={
            **os.environ,
            "PATH": f"{SCRIPTS}:{os.environ['PATH']}",
            "LAMMPS_PLUGIN_PATH": str(plugin.parent),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "on 2 procs for 2 steps" in done.stdout


def test_a_comparison_that_fails_is_told(plugin, silica_native, silica, tmp_path, monkeypatch):
    deck = example.write(silica_native, tmp_path, build_crystal("SiO2-quartz"))
    deck.atoms.rattle(0.01)  # another structure than the one that was written
    found = example.check(deck)
    assert not found.holds
    assert "DISAGREE" in str(found)
    (tmp_path / "in.lammps").write_text("units metal\nnonsense\n")
    with pytest.raises(M3CompressError, match="Unknown command: nonsense"):
        example.check(deck)


def test_other_files_are_refused(silica_artefact, tmp_path, capsys):
    assert run("example", silica_artefact, "-o", tmp_path / "deck") == 2
    assert "is no native file" in capsys.readouterr().err
    assert not (tmp_path / "deck").exists()


def test_a_plugin_that_was_not_built(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "installed", lambda: "2020.1.1")
    with pytest.raises(MissingDependencyError, match="was not built") as caught:
        folder.built_plugin()
    assert "m3compress lammps build" in str(caught.value.hint)


def test_lammps_finds_the_plugin_by_itself(plugin, tmp_path):
    (entry,) = PROJECT["entry-points"]["lammps.plugins"].items()
    written = tmp_path / "as_installed-1.dist-info"  # editable installs may be older than this
    written.mkdir()
    (written / "METADATA").write_text("Metadata-Version: 2.1\nName: as-installed\nVersion: 1\n")
    (written / "entry_points.txt").write_text("[lammps.plugins]\n{} = {}\n".format(*entry))
    (tmp_path / "in.lammps").write_text("plugin list\nunits metal\n")
    path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [SCRIPTS / "lmp", "-in", "in.lammps", "-log", "none"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "LAMMPS_PLUGIN_PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "pair style plugin m3compress" in done.stdout


def test_lammps_finds_the_folder_fast(tmp_path):
    code = (
        "import sys; from m3compress.engines.codes.lammps.folder import path_for_lammps\n"
        "print(path_for_lammps(), 'numpy' in sys.modules, 'ase' in sys.modules)"
    )
    command = (sys.executable, "-c", code)
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.split() == [path_for_lammps(), "False", "False"]
