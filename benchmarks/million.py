"""Energy, forces and stress of up to a million atoms by the native core: time and memory per atom.

    python benchmarks/million.py

The structure is a small rattled cell, repeated, so that what must come out is known: the result of
the cell itself. Every size runs in a process of its own, whose peak of resident memory above what
it held before the evaluation is reported; neighbour search and edges are part of it. The network is
that of ``speed.py`` for O, Si and Ti (needs the extra ``matgl``), or one of a file. What is done is
written after every size.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from machine import command, machine
from speed import save_default_matgl_model

from m3compress import Calculator
from m3compress.analysis.timing import PeakMemory
from m3compress.api import export_model
from m3compress.models.structures.crystals import build_crystal
from m3compress.models.structures.supercell import supercell_of

RESULTS = Path(__file__).parent / "results" / "million.json"
FORCE_ERROR = 1e-4  # eV/Å, of float32 in a repeated cell
_LARGE = 9_000  # atoms, from which on the time per atom is to stay
_CELL_ATOMS = 48  # of the cell that is repeated, at least


def structure(crystal: str, n_atoms: int) -> tuple[Atoms, Atoms]:
    """A rattled cell, and what its repetition makes of at least ``n_atoms`` atoms."""
    cell = supercell_of(build_crystal(crystal), _CELL_ATOMS)
    cell.rattle(0.05, seed=1)
    return cell, supercell_of(cell, n_atoms)


def measure(options: argparse.Namespace, crystal: str, n_atoms: int) -> dict[str, Any]:
    """One size, in this process."""
    calculator = Calculator(
        options.model, threads=options.threads, memory=options.memory, on_overlap="ignore"
    )
    cell, atoms = structure(crystal, n_atoms)
    expected = calculator.evaluate(cell)
    memory, start, cpu = PeakMemory(), time.perf_counter(), time.process_time()
    found = calculator.evaluate(atoms)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    times = len(atoms) // len(cell)
    wrong = np.abs(found.forces - np.tile(expected.forces, (times, 1))).max()
    return {
        "crystal": crystal,
        "atoms": len(atoms),
        "engine": calculator.engine.description,
        "keeps": calculator.engine.core.keeps,  # type: ignore[attr-defined]
        "seconds": seconds,
        "ms_per_atom": 1e3 * seconds / len(atoms),
        "cpu_ms_per_atom": 1e3 * cpu_seconds / len(atoms),
        "kB_per_atom": memory.bytes() / len(atoms) / 1e3,
        "force_error": float(wrong),
        "largest_force": float(np.abs(expected.forces).max()),
        "energy_error_per_atom": float(found.energies.mean() - expected.energies.mean()),
        "stress_error": float(np.abs(found.stress(atoms) - expected.stress(cell)).max()),
    }


def default_model(folder: Path) -> Path:
    """A native file of an untrained network of default sizes."""
    model, path = folder / "matgl-default", folder / "default.m3c.safetensors"
    save_default_matgl_model(model, ("O", "Si", "Ti"))
    export_model(model, path, target="native", three_body="factorize", convention="matgl-4.1")
    return path


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the rows of one crystal, and how the time per atom grows from 10,000 atoms on."""
    print(f"{rows[0]['crystal']}, {rows[0]['engine']}")
    print("   atoms    seconds   ms/atom  CPU ms/atom  kB/atom     GB    max |ΔF| eV/Å")
    for row in rows:
        print(
            f"{row['atoms']:8d}  {row['seconds']:9.2f}  {row['ms_per_atom']:8.3f}"
            f"  {row['cpu_ms_per_atom']:11.3f}  {row['kB_per_atom']:7.1f}"
            f"  {row['kB_per_atom'] * row['atoms'] / 1e6:5.2f}  {row['force_error']:14.1e}"
        )
    large = [row["ms_per_atom"] for row in rows if row["atoms"] >= _LARGE]
    if len(large) > 1:
        print(f"time per atom from {_LARGE:,} atoms on: {100 * (large[-1] / large[0] - 1):+.0f} %")


def main() -> int:
    """Measure all sizes; 1 where a repeated cell is not what the cell is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path, nargs="?", help="native file; an untrained network")
    parser.add_argument("--crystals", nargs="+", default=["TiO2-rutile", "SiO2-quartz"])
    parser.add_argument("--atoms", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--memory", choices=("auto", "keep", "recompute"), default="recompute")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    document = {
        "command": command(),
        "machine": machine(),
        "rows": rows,
    }
    with tempfile.TemporaryDirectory() as scratch:
        options.model = options.model or default_model(Path(scratch))
        for crystal in options.crystals:
            for n_atoms in options.atoms:
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
                    rows.append(alone.submit(measure, options, crystal, n_atoms).result())
                options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
            show([row for row in rows if row["crystal"] == crystal])
    return int(any(row["force_error"] > FORCE_ERROR for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
