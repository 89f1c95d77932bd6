"""Constant energy in LAMMPS on two ranks while atoms migrate: drift of the energy, heat flux.

    python benchmarks/lammps_nve.py MODEL.m3c.safetensors --picoseconds 20

A crystal at 1200 K that flies through its box, so that every atom passes from rank to rank;
velocity Verlet. The drift is a slope with its 95 % interval, the bound the larger end of that. The
heat flux of the same run is correlated with itself (``fix ave/correlate``), and integrated: what
becomes of it in picoseconds of a small cell is no conductivity, but shows that what LAMMPS needs
for one is there.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from lammps_runs import Layout, simulate, times_of
from machine import command
from results_file import keep

from m3compress.analysis.statistics.slopes import fit_slope
from m3compress.engines.artefact import load_artefact
from m3compress.engines.codes.boxes import turned
from m3compress.models.structures.crystals import build_crystal

RESULTS = Path(__file__).parent / "results" / "lammps_nve.json"
LIMIT = 0.05  # meV/atom/ps
TEMPERATURE = 1200.0  # K, once potential and kinetic energy share what is given
FLIGHT = (0.9, 0.6, 0.4)  # Å/ps
SAMPLE = 10  # steps between two energies
LAGS = 50  # of the correlation, two samples apart each
COMMANDS = """
velocity all create {kick} 4928 mom yes
velocity all set {flight} sum yes
timestep {timestep}
fix 1 all nve
compute k all ke/atom
compute e all pe/atom
compute s all centroid/stress/atom NULL virial
compute j all heat/flux k e s
fix j all ave/correlate {sample} {lags} {total} c_j[1] c_j[2] c_j[3] type auto file flux.txt
compute t all temp/com
thermo_style custom step etotal c_t
thermo_modify format 2 %.12g
thermo {sample}
run {steps}
print 'crossed $(xcm(all,x)/lx) boxes'
"""


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """One run."""
    atoms = turned(build_crystal(options.crystal).repeat(options.repeat))[0]
    steps = round(1000 * options.picoseconds / options.timestep) // SAMPLE * SAMPLE
    commands = COMMANDS.format(
        kick=2 * TEMPERATURE,
        flight=" ".join(map(str, FLIGHT)),
        timestep=options.timestep / 1000,
        steps=steps,
        sample=SAMPLE,
        lags=LAGS,
        total=steps // (SAMPLE * LAGS) * SAMPLE * LAGS,
    )
    with tempfile.TemporaryDirectory() as scratch:
        layout, folder = Layout(options.ranks, 1), Path(scratch)
        start = time.perf_counter()
        said = simulate(options.model, atoms, commands, layout=layout, keep=folder)
        seconds = time.perf_counter() - start
        flux = (folder / "flux.txt").read_text(encoding="utf-8")
    rows = np.array(re.findall(r"^ *(\d+) +(-?[\d.e+]+) +([\d.]+) *$", said, re.M), dtype=float)
    rows = rows[np.unique(rows[:, 0], return_index=True)[1]]
    times, energies = rows[:, 0] * options.timestep / 1000, 1000 * rows[:, 1] / len(atoms)
    fit = fit_slope(times, energies)
    return {
        "atoms": len(atoms),
        "ranks": options.ranks,
        "picoseconds": float(times[-1]),
        "timestep_fs": options.timestep,
        "temperature_K": float(rows[len(rows) // 5 :, 2].mean()),
        "boxes_crossed": float(re.findall(r"^crossed ([\d.e+-]+) boxes", said, re.M)[-1]),
        "drift_meV_per_atom_per_ps": fit.slope,
        "interval": list(fit.interval),
        "bound": max(map(abs, fit.interval)),
        "limit": LIMIT,
        "fluctuation_meV_per_atom": fit.residual,
        "seconds": seconds,
        "loop_seconds": times_of(said).loop,
        "heat_flux": correlation(flux, SAMPLE * options.timestep),
    }


def correlation(text: str, spacing: float) -> dict[str, Any]:
    """Of the heat flux with itself, the last average: lags in fs, in parts of that at lag 0."""
    rows = [line.split() for line in text.splitlines() if not line.startswith("#")]
    last = np.array([row[3:] for row in rows if len(row) > 2][-LAGS:], dtype=float)
    mean = last.mean(axis=1)
    return {
        "lags_fs": (spacing * np.arange(LAGS)).tolist(),
        "correlation": (mean / mean[0]).tolist(),
        "at_lag_0": float(mean[0]),
        "integral_fs": float(spacing * (mean.sum() / mean[0] - 0.5)),
        "samples": int(rows[-1][2]),
    }


def main() -> int:
    """Run, print and keep; returns 1 if the bound is beyond the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--crystal", default="SiO2-quartz")
    parser.add_argument("--repeat", type=int, nargs=3, default=[2, 1, 1])
    parser.add_argument("--picoseconds", type=float, default=20.0)
    parser.add_argument("--timestep", type=float, default=1.0, help="fs")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    found = measure(options)
    found["command"] = command()
    found["sha256"] = load_artefact(options.model).manifest.artefact_sha256
    keep(options.output, options.model.name.removesuffix(".m3c.safetensors"), found)
    holds = found["bound"] <= LIMIT
    low, high = found["interval"]
    print(
        f"{found['picoseconds']:g} ps of {found['atoms']} atoms on {found['ranks']} ranks at "
        f"{found['temperature_K']:.0f} K: drift {found['drift_meV_per_atom_per_ps']:+.4f} "
        f"[{low:+.4f}, {high:+.4f}] meV/atom/ps, {'within' if holds else 'BEYOND'} {LIMIT}; "
        f"fluctuation {found['fluctuation_meV_per_atom']:.3f} meV/atom; heat flux correlated over "
        f"{found['heat_flux']['samples']} samples"
    )
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
