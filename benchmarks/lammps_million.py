"""Ten steps of a million atoms at constant energy in LAMMPS, by default on every processor.

    python benchmarks/lammps_million.py MODEL.m3c.safetensors --work DIR

The exact model takes hours on two cores, in mode ``recompute``. Every step is kept, so that a run
that was interrupted goes on from the last one by the same command.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Any

from ase import Atoms
from lammps_runs import Layout, row_of, simulate, structure, times_of
from machine import command
from results_file import keep

from m3compress.engines.artefact import load_artefact

RESULTS = Path(__file__).parent / "results" / "lammps_million.json"
COMMANDS = """{begin}fix 1 all nve
restart 1 step.*
thermo_style custom step temp pe ke etotal press
thermo_modify format float %.12g flush yes
thermo 1
log said.{first}
run {steps} upto
"""
BEGIN = "velocity all create 300 4928\n"
NUMBER = r" +([-+.e\d]+)"
ROW = r"^ +(\d+)" + 5 * NUMBER + " *$"


def simulate_rest(options: argparse.Namespace, atoms: Atoms, layout: Layout) -> None:
    """Run the steps that are left, from the last one that was kept."""
    kept = [int(path.suffix[1:]) for path in options.work.glob("step.*")]
    first = max(kept, default=0)
    if first >= options.steps:
        return
    data = f"read_restart step.{first}" if first else "read_data structure.data"
    commands = COMMANDS.format(begin="" if first else BEGIN, first=first, steps=options.steps)
    simulate(
        options.model,
        atoms,
        commands,
        layout=layout,
        style="comm recompute",
        data=data,
        keep=options.work,
    )


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The run, with the energies of all its steps."""
    atoms, layout = structure(options.crystal, options.atoms), Layout(options.ranks, 1)
    simulate_rest(options, atoms, layout)
    said = {int(path.suffix[1:]): path.read_text() for path in options.work.glob("said.*")}
    last = max(said)
    times = times_of(said[last])
    rows = {
        int(row[0]): list(map(float, row[1:]))
        for first in sorted(said)
        for row in re.findall(ROW, said[first], re.M)
    }
    steps = [rows[step] for step in range(options.steps + 1)]
    return {
        **row_of(atoms, layout, [times]),
        "went_on_from_step": last,
        "megabytes_of_a_rank": times.megabytes,
        "change_of_energy_meV_per_atom": 1e3 * (steps[-1][3] - steps[0][3]) / len(atoms),
        "temp_pe_ke_etotal_press": steps,
    }


def main() -> None:
    """Run, keep and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, metavar="MODEL.m3c.safetensors")
    parser.add_argument("--work", type=Path, required=True, help="folder")
    parser.add_argument("--crystal", default="TiO2-rutile")
    parser.add_argument("--atoms", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--ranks", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    found = measure(options)
    found["command"] = command()
    found["sha256"] = load_artefact(options.model).manifest.artefact_sha256
    keep(options.output, options.model.name.removesuffix(".m3c.safetensors"), found)
    print(
        f"{found['atoms']} atoms, {options.steps} steps on {found['ranks']} ranks: "
        f"{found['ms_per_atom']:.4f} ms/atom, energy changed by "
        f"{found['change_of_energy_meV_per_atom']:+.2e} meV/atom"
    )


if __name__ == "__main__":
    main()
