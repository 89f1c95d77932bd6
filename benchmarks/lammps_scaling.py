"""LAMMPS with the pair style: time per atom and step by ranks and threads, and the Calculator's.

    python benchmarks/lammps_scaling.py MODEL.m3c.safetensors --atoms 8000 --layouts 1x1 2x1

A layout is RANKSxTHREADS. Every size is a rattled crystal at constant energy from 300 K. The column
``exchange`` is the time in which features and adjoints of ghosts are exchanged, waiting for other
ranks included, ``comm`` what LAMMPS itself spends on ghosts, both as parts of the loop; the
speed-up is against the first layout.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from machine import machine

from m3compress import Calculator
from m3compress.engines.artefact import load_artefact
from m3compress.engines.codes.boxes import turned
from m3compress.engines.codes.lammps.example import run_lammps
from m3compress.engines.codes.lammps.structure import data_file, types_of
from m3compress.models.structures.crystals import build_crystal

_TIMEOUT = 3600.0  # s
_INPUT = """units metal
read_data structure.data
pair_style m3compress {way} {memory}
pair_coeff * * "{model}" {elements}
velocity all create 300 4928
fix 1 all nve
run 1
run {steps}
"""
_SECTION = r"^{name} +\|[^|]*\| *([-+.e\d]+)"


def structure(crystal: str, n_atoms: int) -> Atoms:
    """A rattled crystal of about so many atoms."""
    unit = build_crystal(crystal)
    side = (n_atoms / len(unit) * unit.get_volume()) ** (1 / 3)
    atoms = unit.repeat([max(1, round(side / length)) for length in unit.cell.lengths()])
    atoms.rattle(0.05, seed=1)
    return turned(atoms)[0]


def measure(options: argparse.Namespace, atoms: Atoms, layout: str) -> dict[str, Any]:
    """One size in one layout."""
    n_ranks, n_threads = map(int, layout.split("x"))
    os.environ["OMP_NUM_THREADS"] = str(n_threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "structure.data").write_text(data_file(atoms), encoding="utf-8")
        text = _INPUT.format(
            way=options.way,
            memory=options.memory,
            model=load_artefact(options.model).path.resolve(),
            elements=" ".join(types_of(atoms)),
            steps=options.steps,
        )
        (folder / "in.lammps").write_text(text, encoding="utf-8")
        said = run_lammps(
            folder, "-in", "in.lammps", "-log", "none", n_ranks=n_ranks, timeout=_TIMEOUT
        )
    last = said[said.rindex("Loop time of") :]
    loop = float(last.split()[3])
    exchanged = re.findall(r"m3compress: ([\d.e+-]+) s in exchanging", last)
    parts = {
        part: float(re.findall(_SECTION.format(name=part), last, re.M)[0]) / loop
        for part in ("Pair", "Neigh", "Comm")
    }
    return {
        "atoms": len(atoms),
        "ranks": n_ranks,
        "threads": n_threads,
        "ms_per_atom": 1e3 * loop / options.steps / len(atoms),
        "pair": parts["Pair"],
        "neighbors": parts["Neigh"],
        "comm": parts["Comm"],
        "exchange": float(exchanged[0]) / loop if exchanged else 0.0,
        "ghosts": float(re.findall(r"^Nghost: +([\d.e+-]+)", last, re.M)[0]),
    }


def by_calculator(options: argparse.Namespace, atoms: Atoms) -> float:
    """Milliseconds per atom of an evaluation by the Calculator on one thread."""
    calculator = Calculator(options.model, threads=1, on_overlap="ignore")
    calculator.evaluate(atoms)
    times = []
    for _ in range(options.steps):
        start = time.perf_counter()
        calculator.evaluate(atoms)
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times)) / len(atoms)


def main() -> None:
    """Measure all sizes in all layouts and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--crystal", default="SiO2-quartz")
    parser.add_argument("--atoms", type=int, nargs="+", default=[2000, 8000])
    parser.add_argument("--layouts", nargs="+", default=["1x1", "2x1", "1x2"])
    parser.add_argument("--way", choices=("comm", "wide"), default="comm")
    parser.add_argument("--memory", choices=("auto", "keep", "recompute"), default="auto")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/lammps.json"))
    options = parser.parse_args()
    rows = []
    print("   atoms  layout   ms/atom  speed-up   pair  comm  exchange  Calculator ms/atom")
    for n_atoms in options.atoms:
        atoms = structure(options.crystal, n_atoms)
        calculator = by_calculator(options, atoms)
        first = None
        for layout in options.layouts:
            row = measure(options, atoms, layout)
            first = first or row["ms_per_atom"]
            row |= {"speed_up": first / row["ms_per_atom"], "calculator_ms_per_atom": calculator}
            rows.append(row)
            print(
                f"{row['atoms']:8d}  {layout:>6}  {row['ms_per_atom']:8.4f}  {row['speed_up']:8.2f}"
                f"  {row['pair']:5.2f} {row['comm']:5.2f}  {row['exchange']:8.3f}"
                f"  {calculator:18.4f}"
            )
    document = {"machine": machine(), "way": options.way, "steps": options.steps, "rows": rows}
    options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
