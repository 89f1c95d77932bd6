"""The pair style, built once for all workers, and inputs for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from ase import Atoms
from filelock import FileLock
from native_library import built_library

from m3compress.engines.codes.boxes import turned
from m3compress.engines.codes.lammps.build import build_plugin, find_lammps
from m3compress.engines.codes.lammps.example import run_lammps
from m3compress.engines.codes.lammps.folder import PLUGIN, path_for_lammps
from m3compress.engines.codes.lammps.structure import data_file
from m3compress.engines.native.build import cache_folder

TIMEOUT = 120.0  # s: what hangs is found out

#: ``lmp(script, n_ranks=1, **structures)``: the folder in which a script has run.
Lmp = Callable[..., Path]


@pytest.fixture(scope="session")
def plugin() -> Path:
    """The plugin for the LAMMPS of this environment."""
    built_library()
    path = Path(path_for_lammps()) / PLUGIN
    with FileLock(cache_folder() / "lammps.lock"):
        return path if path.is_file() else build_plugin(find_lammps())


@pytest.fixture
def lmp(plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lmp:
    """Run a script in a folder of its own, with structures as data files."""

    def run(script: str, n_ranks: int = 1, structures: Mapping[str, Atoms] | None = None) -> Path:
        for name, atoms in (structures or {}).items():
            (tmp_path / f"{name}.data").write_text(data_file(turned(atoms)[0]), encoding="utf-8")
        (tmp_path / "in.lammps").write_text(script, encoding="utf-8")
        arguments = ("-in", "in.lammps", "-log", "log.lammps")
        # More ranks than processors: who waits lets others work.
        monkeypatch.setenv("MPIR_CVAR_POLLS_BEFORE_YIELD", "1")
        said = run_lammps(tmp_path, *arguments, n_ranks=n_ranks, timeout=TIMEOUT)
        (tmp_path / "said.txt").write_text(said, encoding="utf-8")
        return tmp_path

    return run
