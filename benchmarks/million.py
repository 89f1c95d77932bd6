"""Energy, forces and stress of up to a million atoms by the native core: time and memory per atom.

    python benchmarks/million.py MODEL.m3c.safetensors --crystal TiO2-rutile --atoms 1000 1000000

The structure is a small rattled cell, repeated, so that what must come out is known: the result of
the cell itself. Every size runs in a process of its own, whose peak of resident memory above what
it held before the evaluation is reported; neighbour search and edges are part of it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from m3compress import Calculator
from m3compress.analysis.timing import PeakMemory
from m3compress.models.structures.crystals import build_crystal

_CELL_ATOMS = 48  # of the cell that is repeated, at least


def structure(crystal: str, n_atoms: int) -> tuple[Atoms, Atoms]:
    """A rattled cell, and what its repetition makes of at least ``n_atoms`` atoms."""
    unit = build_crystal(crystal)
    cell = unit.repeat(int(np.ceil((_CELL_ATOMS / len(unit)) ** (1 / 3))))
    cell.rattle(0.05, seed=1)
    lengths = cell.cell.lengths()
    side = (n_atoms / len(cell) * np.prod(lengths)) ** (1 / 3)
    repeats = [max(1, round(side / length)) for length in lengths[:2]]
    repeats.append(max(1, int(np.ceil(n_atoms / len(cell) / np.prod(repeats)))))
    return cell, cell.repeat(repeats)


def measure(options: argparse.Namespace, n_atoms: int) -> dict[str, Any]:
    """One size, in this process."""
    calculator = Calculator(
        options.model, threads=options.threads, memory=options.memory, on_overlap="ignore"
    )
    cell, atoms = structure(options.crystal, n_atoms)
    expected = calculator.evaluate(cell)
    memory, start, cpu = PeakMemory(), time.perf_counter(), time.process_time()
    found = calculator.evaluate(atoms)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    times = len(atoms) // len(cell)
    wrong = np.abs(found.forces - np.tile(expected.forces, (times, 1))).max()
    return {
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


def main() -> None:
    """Measure all sizes and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--crystal", default="TiO2-rutile")
    parser.add_argument("--atoms", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--memory", choices=("auto", "keep", "recompute"), default="recompute")
    parser.add_argument("--output", type=Path, help="JSON file for the rows")
    options = parser.parse_args()
    rows = []
    for n_atoms in options.atoms:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
            rows.append(alone.submit(measure, options, n_atoms).result())
        print(json.dumps(rows[-1]), file=sys.stderr)
    print("   atoms   ms/atom  CPU ms/atom  kB/atom    max |ΔF| eV/Å")
    for row in rows:
        print(
            f"{row['atoms']:8d}  {row['ms_per_atom']:8.3f}  {row['cpu_ms_per_atom']:11.3f}"
            f"  {row['kB_per_atom']:7.1f}  {row['force_error']:14.1e}"
        )
    if options.output is not None:
        options.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
