"""A step of constant energy in each MD code against one in ASE, with the same file.

    python benchmarks/md_codes.py silica.m3c.safetensors --atoms 72

Every code runs as the contract of engines runs it (``m3compress conformance``), on one thread, in
a process of its own, all in turn. Of two runs of different lengths the difference counts, so that
starting does not; the processor's time, summed over threads, is what is compared round by round.
"""

from __future__ import annotations

import argparse
import os
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from machine import command
from results_file import keep

from m3compress.analysis.timing import median_ratio, time_in_turn
from m3compress.benchmark import benchmark_structure
from m3compress.engines.artefact import load_artefact
from m3compress.engines.conformance.cells import set_in_motion
from m3compress.engines.conformance.code import Code
from m3compress.engines.conformance.registry import code_named

RESULTS = Path(__file__).parent / "results" / "md_codes.json"
CODES = ("ase", "ipi", "lammps", "lammps-attach", "openmm", "torchsim")
SHORT = 5  # steps
TEMPERATURE = 300.0  # K


@dataclass(frozen=True, slots=True)
class Run:
    """Some steps of constant energy in a code.

    Attributes:
        code: Its name.
        path: An exported file.
        n_steps: Steps.
    """

    code: str
    path: str
    n_steps: int

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.n_steps} steps in {self.code}"

    def open(self) -> Steps:
        """Load it, in the process in which it is timed."""
        return Steps(code_named(self.code).open(Path(self.path), 1), self.n_steps)


@dataclass(frozen=True, slots=True)
class Steps:
    """What is timed."""

    code: Code
    n_steps: int

    def evaluate(self, atoms: Atoms) -> object:
        """All steps."""
        moving = set_in_motion(atoms, TEMPERATURE)
        return self.code.run(moving, timestep=1.0, n_steps=self.n_steps)


def measure(options: argparse.Namespace, atoms: Atoms) -> list[dict[str, Any]]:
    """One row for every code; the first is what the others are compared with."""
    path, lengths = str(options.model), (SHORT, SHORT + options.steps)
    runs = [Run(code, path, n) for code in options.codes for n in lengths]
    costs = time_in_turn(runs, atoms, options.rounds)
    taken = {}
    for code, short, long in zip(options.codes, costs[::2], costs[1::2], strict=True):
        difference = np.subtract(long.cpu_seconds, short.cpu_seconds) / options.steps
        taken[code] = difference.tolist()
    first = taken[options.codes[0]]
    return [
        {
            "code": code,
            "cpu_ms_per_step": 1e3 * statistics.median(seconds),
            "times_of_ase": median_ratio(seconds, first),
            "cpu_seconds": seconds,
        }
        for code, seconds in taken.items()
    ]


def main() -> None:
    """Measure, print a row for every code, and keep them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--atoms", type=int, default=72)
    parser.add_argument("--steps", type=int, default=20, help="that count, of every run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--codes", nargs="+", default=list(CODES), help="the first is the measure")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    manifest, before = load_artefact(options.model).manifest, os.getloadavg()
    structure, atoms = benchmark_structure(manifest.elements, options.atoms)
    rows = measure(options, atoms)
    for row in rows:
        print(
            f"{row['code']:>14}  {row['cpu_ms_per_step']:8.2f} ms of the processor a step  "
            f"{row['times_of_ase']:5.2f} of ASE's"
        )
    result = {
        "command": command(),
        "structure": structure,
        "atoms": len(atoms),
        "steps": options.steps,
        "load_average": {"before": before, "after": os.getloadavg()},
        "rows": rows,
    }
    keep(options.output, f"{options.model.name}, {len(atoms)} atoms", result)


if __name__ == "__main__":
    main()
