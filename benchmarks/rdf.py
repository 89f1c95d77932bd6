"""Radial distribution functions: agreement with ASE and time, on a cubic and a triclinic cell.

python benchmarks/rdf.py --atoms 2000 --frames 500
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.geometry.rdf import get_rdf
from machine import machine

from m3compress.analysis.observables.pairs import TOTAL, pair_distribution
from m3compress.models.structures.crystals import CRYSTALS

RESULTS = Path(__file__).parent / "results" / "rdf.json"
R_MAX, N_BINS, RATTLE = 6.0, 200, 0.1


def crystal(n_atoms: int, *, triclinic: bool) -> Atoms:
    """Rock salt of about so many atoms, sheared if ``triclinic``."""
    (lattice_constant,) = CRYSTALS["NaCl-rocksalt"].lattice
    atoms = bulk("NaCl", "rocksalt", a=lattice_constant, cubic=True)
    atoms = atoms.repeat(round((n_atoms / len(atoms)) ** (1 / 3) + 0.3))
    if triclinic:
        shear = np.array([[1, 0.2, 0.1], [0, 1, 0.15], [0, 0, 1]])
        atoms.set_cell(atoms.cell.array @ shear, scale_atoms=True)
    return atoms


def trajectory(atoms: Atoms, n_frames: int) -> list[Atoms]:
    """Independently rattled copies."""
    frames = []
    for seed in range(n_frames):
        frame = atoms.copy()
        frame.rattle(RATTLE, seed=seed)
        frames.append(frame)
    return frames


def largest_difference(frames: list[Atoms]) -> float:
    """Largest difference of one bin of the mean g(r) of all pairs from ASE's."""
    ours = pair_distribution(frames, R_MAX, N_BINS).g[TOTAL].mean(axis=0)
    theirs = np.mean([get_rdf(frame, R_MAX, N_BINS)[0] for frame in frames], axis=0)
    return float(np.abs(ours - theirs).max())


def main() -> None:
    """Compare, time, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--atoms", type=int, default=2000)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()

    rows = []
    for name in ("cubic", "triclinic"):
        frames = trajectory(crystal(options.atoms, triclinic=name == "triclinic"), options.frames)
        start = time.perf_counter()
        pair_distribution(frames, R_MAX, N_BINS)
        rows.append(
            {
                "cell": name,
                "n_atoms": len(frames[0]),
                "n_frames": len(frames),
                "seconds": round(time.perf_counter() - start, 1),
                "largest_difference_from_ase": largest_difference(frames[:5]),
            }
        )
    document = {
        "command": f"python benchmarks/rdf.py --atoms {options.atoms} --frames {options.frames}",
        "machine": machine(),
        "rows": rows,
    }
    options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.stderr.write(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
