"""LAMMPS with the pair style: strong and weak scaling over ranks and threads, and exchanges.

    python benchmarks/lammps_scaling.py exact.m3c.safetensors student.m3c.safetensors \
        --atoms 2000 8000 100000 --layouts 1x1 2x1 1x2 --weak 8000 --matgl FOLDER

A layout is RANKSxTHREADS. Every run is a rattled crystal at constant energy from 300 K. For every
model:

* strong scaling: time per atom and step by size and layout, what of it is spent in the pair style,
  in what it exchanges and in LAMMPS's own exchanges; the speed-up is against the first layout;
* the Calculator on the same structure, and matgl's (``--matgl``: the folder of the first model),
  on as many threads as the first layout has, in turn with LAMMPS: medians over rounds;
* weak scaling: so many atoms for every rank, rates against one rank;
* more ranks than there are, on paper (``on_paper.py``), from what was measured.
"""

from __future__ import annotations

import argparse
import os
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from lammps_runs import Layout, Times, row_of, simulate, structure, times_of
from machine import command
from mpi_exchange import measured as measured_exchange
from on_paper import CLUSTER, Measured, Network, on_paper
from results_file import keep

from m3compress import Calculator
from m3compress.analysis.timing import time_in_turn
from m3compress.benchmark import Candidate
from m3compress.engines.artefact import load_artefact

RESULTS = Path(__file__).parent / "results" / "lammps.json"
SKIN = 2.0  # Å, of LAMMPS in units metal
FEW = 20_000  # atoms; larger systems need no step to warm up
ON_PAPER = (64, (1e6, 1e7))  # ranks, atoms
COMMANDS = "velocity all create 300 4928\nfix 1 all nve\n{warm}run {steps}\n"


def steps_for(options: argparse.Namespace, n_atoms: int) -> int:
    """Fewer of larger systems."""
    return int(np.clip(options.atom_steps // n_atoms, 3, 100))


def run(options: argparse.Namespace, model: Path, atoms: Atoms, layout: Layout) -> Times:
    """One round."""
    commands = COMMANDS.format(
        warm="run 1\n" if len(atoms) < FEW else "", steps=steps_for(options, len(atoms))
    )
    style = f"{options.way} {options.memory}"
    return times_of(simulate(model, atoms, commands, layout=layout, style=style))


def strong(
    options: argparse.Namespace, model: Path, others: list[Candidate], n_atoms: int
) -> dict[str, Any]:
    """One size in all layouts, in turn with calculators."""
    atoms = structure(options.crystal, n_atoms)
    layouts = [Layout.of(text) for text in options.layouts]
    runs: dict[Layout, list[Times]] = {layout: [] for layout in layouts}
    seconds: dict[str, list[float]] = {other.name: [] for other in others}
    for _ in range(options.rounds):
        for layout in layouts:
            runs[layout].append(run(options, model, atoms, layout))
        fit = [other for other in others if other.kind != "matgl" or n_atoms <= options.largest]
        for other, cost in zip(fit, time_in_turn(fit, atoms, 3), strict=True):
            seconds[other.name] += cost.seconds
    rows = against_first([row_of(atoms, layout, runs[layout]) for layout in layouts])
    calculators = {
        name: 1e3 * statistics.median(taken) / len(atoms)
        for name, taken in seconds.items()
        if taken
    }
    print(f"{'':18}" + ", ".join(f"{name}: {ms:.4f} ms/atom" for name, ms in calculators.items()))
    return {"atoms": len(atoms), "layouts": rows, "calculators_ms_per_atom": calculators}


def against_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with their speed-up, shown."""
    for row in rows:
        row["speed_up"] = rows[0]["ms_per_atom"] / row["ms_per_atom"]
        show(row)
    return rows


def show(row: dict[str, Any]) -> None:
    """One line."""
    layout = f"{row['ranks']}x{row['threads']}"
    parts = "  ".join(f"{name} {row[name]:.3f}" for name in ("pair", "comm", "exchange"))
    print(
        f"{row['atoms']:8d} {layout:>6}  {row['ms_per_atom']:.4f} ms/atom  "
        f"{row.get('speed_up', float('nan')):.2f}x  {parts}"
    )


def weak(options: argparse.Namespace, model: Path) -> list[dict[str, Any]]:
    """As many atoms for every rank, on one rank and on all."""
    part = structure(options.crystal, options.weak)
    cases = [
        (Layout(n_ranks, 1), part.repeat((n_ranks, 1, 1)))
        for n_ranks in range(1, (os.cpu_count() or 1) + 1)
    ]
    runs: dict[Layout, list[Times]] = {layout: [] for layout, _ in cases}
    for _ in range(options.rounds):
        for layout, atoms in cases:
            runs[layout].append(run(options, model, atoms, layout))
    return against_first([row_of(atoms, layout, runs[layout]) for layout, atoms in cases])


def paper(
    options: argparse.Namespace, model: Path, rows: list[dict[str, Any]], here: dict[str, float]
) -> dict[str, Any]:
    """More ranks than there are, from the largest system on one rank with one thread."""
    alone = [row for row in rows if row["ranks"] == row["threads"] == 1]
    if not alone:
        return {}
    last, info = alone[-1], Calculator(model, threads=1).engine.core.info  # type: ignore[attr-defined]
    atoms = structure(options.crystal, last["atoms"])
    rounds = 2 * (info.n_blocks - 1)
    seconds = last["ms_per_atom"] * 1e-3
    exchange = last["exchange"] * seconds * len(atoms)
    measured = Measured(
        seconds_per_atom=seconds * (1 - last["exchange"]),
        seconds_per_row=exchange / max(1, rounds * last["ghosts_of_a_rank"]),
        row_bytes=4 * info.row_width,
        n_blocks=info.n_blocks,
        cutoff=info.cutoff,
        reach=info.cutoff + SKIN,
        density=len(atoms) / atoms.get_volume(),
    )
    shared = Network(
        "this machine's memory, measured between two ranks", here["latency_s"], here["bytes_per_s"]
    )
    n_ranks, sizes = ON_PAPER
    table = [on_paper(measured, net, n, n_ranks) for net in (shared, CLUSTER) for n in sizes]
    for row in table:
        print(
            f"on paper: {row['atoms']:.0e} atoms, {n_ranks} ranks, {row['network']['name']}: "
            f"{row['efficiency']:.1%}, {row['ns_per_day_of_1_fs']:.3f} ns/day of 1 fs, "
            f"{row['ghosts_per_rank']:.0f} ghosts, {row['MB_sent_per_rank']:.1f} MB sent by a rank"
        )
    return {"measured": asdict(measured), "rows": table}


def examine(options: argparse.Namespace, model: Path, reference: Path | None) -> None:
    """All about one model."""
    name = model.name.removesuffix(".m3c.safetensors")
    threads = Layout.of(options.layouts[0]).threads
    print(f"{name}:")
    others = [Candidate("Calculator", "artefact", str(model), threads)]
    if reference is not None:
        others.append(Candidate("matgl", "matgl", str(reference), threads))
    before = os.getloadavg()
    sizes = [strong(options, model, others, n_atoms) for n_atoms in options.atoms]
    rows = [row for size in sizes for row in size["layouts"]]
    here = measured_exchange()
    result = {
        "command": command(),
        "way": options.way,
        "crystal": options.crystal,
        "sha256": load_artefact(model).manifest.artefact_sha256,
        "strong": sizes,
        "weak": weak(options, model) if options.weak else [],
        "exchange": here,
        "on_paper": paper(options, model, rows, here) if options.way == "comm" else {},
        "load_average": {"before": before, "after": os.getloadavg()},
    }
    keep(options.output, name, result)


def main() -> None:
    """Measure all models one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL.m3c.safetensors")
    parser.add_argument("--crystal", default="TiO2-rutile")
    parser.add_argument("--atoms", type=int, nargs="+", default=[2000, 8000])
    parser.add_argument("--layouts", nargs="+", default=["1x1", "2x1", "1x2"])
    parser.add_argument("--weak", type=int, default=0, help="atoms of a rank")
    parser.add_argument("--matgl", type=Path, help="what the first model was exported from")
    parser.add_argument("--largest", type=int, default=2000, help="atoms for matgl, at most")
    parser.add_argument("--way", choices=("comm", "wide"), default="comm")
    parser.add_argument("--memory", choices=("auto", "keep", "recompute"), default="auto")
    parser.add_argument("--atom-steps", type=int, default=40_000, help="atoms times steps of a run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    for number, model in enumerate(options.models):
        examine(options, model, options.matgl if number == 0 else None)


if __name__ == "__main__":
    main()
