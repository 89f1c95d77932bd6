"""LAMMPS with the pair style, as the benchmarks of it run it, and the times that it tells."""

from __future__ import annotations

import os
import re
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ase import Atoms

from m3compress.engines.artefact import load_artefact
from m3compress.engines.codes.boxes import turned
from m3compress.engines.codes.lammps.example import run_lammps
from m3compress.engines.codes.lammps.structure import data_file, types_of
from m3compress.models.structures.crystals import build_crystal
from m3compress.models.structures.supercell import supercell_of

_TIMEOUT: Final = 24 * 3600.0  # s
_HEADER: Final = """units metal
{before}
{data}
pair_style m3compress {style}
pair_coeff * * "{model}" {elements}
"""
_SECTION: Final = r"^{name} +\|[^|]*\| *([-+.e\d]+)"


@dataclass(frozen=True, slots=True)
class Layout:
    """How many ranks, and threads of each: ``2x1``."""

    ranks: int
    threads: int

    @staticmethod
    def of(text: str) -> Layout:
        """From RANKSxTHREADS."""
        return Layout(*map(int, text.split("x")))

    def __str__(self) -> str:
        """As it is read."""
        return f"{self.ranks}x{self.threads}"


@dataclass(frozen=True, slots=True)
class Times:
    """What LAMMPS says of its last loop.

    Attributes:
        steps: How many it had.
        loop: Seconds of the clock.
        pair: Of these, the pair style, exchanges included.
        neighbors: Building neighbour lists.
        comm: What LAMMPS itself exchanges: positions, forces, atoms.
        exchange: What the pair style exchanges, waiting for other ranks included.
        ghosts: On a rank, on average.
        megabytes: Resident at most, on the rank that takes most, as LAMMPS estimates it.
    """

    steps: int
    loop: float
    pair: float
    neighbors: float
    comm: float
    exchange: float
    ghosts: float
    megabytes: float


def simulate(
    model: Path,
    atoms: Atoms,
    commands: str,
    *,
    layout: Layout,
    style: str = "",
    before: str = "",
    data: str = "read_data structure.data",
    keep: Path | None = None,
) -> str:
    """Run commands on a structure, as ``turned`` turns it; returns what LAMMPS said.

    Args:
        model: A native file.
        atoms: The structure.
        commands: What follows the pair style.
        layout: Ranks and threads.
        style: Words of the pair style.
        before: Commands before the box is made.
        data: The command that makes it.
        keep: Folder in which files are left; a temporary one without.
    """
    os.environ["OMP_NUM_THREADS"] = str(layout.threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder = keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "structure.data").write_text(data_file(atoms), encoding="utf-8")
        header = _HEADER.format(
            before=before,
            data=data,
            style=style,
            model=load_artefact(model).path.resolve(),
            elements=" ".join(types_of(atoms)),
        )
        (folder / "in.lammps").write_text(header + commands, encoding="utf-8")
        arguments = ("-in", "in.lammps", "-log", "none")
        return run_lammps(folder, *arguments, n_ranks=layout.ranks, timeout=_TIMEOUT)


def times_of(said: str) -> Times:
    """What was said of the last loop."""
    last = said[said.rindex("Loop time of") :]

    def section(name: str) -> float:
        return float(re.findall(_SECTION.format(name=name), last, re.M)[0])

    exchanged = re.findall(r"m3compress: ([\d.e+-]+) s in exchanging", last)
    memory = re.findall(r"Per MPI rank memory allocation .* \| ([\d.e+-]+) Mbytes", said)
    return Times(
        steps=int(re.findall(r"for (\d+) steps", last)[0]),
        loop=float(last.split()[3]),
        pair=section("Pair"),
        neighbors=section("Neigh"),
        comm=section("Comm"),
        exchange=float(exchanged[0]) if exchanged else 0.0,
        ghosts=float(re.findall(r"^Nghost: +([\d.e+-]+)", last, re.M)[0]),
        megabytes=float(memory[-1]) if memory else 0.0,
    )


def structure(crystal: str, n_atoms: int) -> Atoms:
    """A rattled crystal of at least so many atoms, close to a cube."""
    atoms = supercell_of(build_crystal(crystal), n_atoms)
    atoms.rattle(0.05, seed=1)
    return turned(atoms)[0]


def row_of(atoms: Atoms, layout: Layout, runs: list[Times]) -> dict[str, Any]:
    """Medians over the rounds, of times per atom and step and of parts of the loop."""

    def per_atom(name: str) -> float:
        return 1e3 * statistics.median(getattr(t, name) / t.steps for t in runs) / len(atoms)

    loop = per_atom("loop")
    return {
        "atoms": len(atoms),
        "ranks": layout.ranks,
        "threads": layout.threads,
        "steps": runs[0].steps,
        "ms_per_atom": loop,
        "pair_ms_per_atom": per_atom("pair"),
        **{name: per_atom(name) / loop for name in ("pair", "neighbors", "comm", "exchange")},
        "ghosts_of_a_rank": runs[0].ghosts,
        "loop_seconds": [one.loop for one in runs],
    }
