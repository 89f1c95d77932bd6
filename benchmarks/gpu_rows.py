"""One row of ``gpu.py``: a candidate on one structure, in a process of its own."""

from __future__ import annotations

import statistics
import subprocess
import time
from typing import Any

import numpy as np
from ase import Atoms
from gpu_candidates import Candidate, Opened, Step

from m3compress.contract.evaluation import Evaluation
from m3compress.models.structures.supercell import supercell_of

Row = dict[str, Any]
_WARM_UP = 2  # steps after the first: kernels are compiled or chosen, and allocators grow
_MOVE = 0.005  # Å per step
_STEPS = 25  # timed at most


def nvidia_smi(fields: str) -> list[str]:
    """What ``nvidia-smi`` says of the first GPU; nothing where there is none."""
    words = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits", "--id=0"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [word.strip() for word in done.stdout.strip().split(",")]


def measure(
    candidate: Candidate, cell: Atoms, expected: Evaluation, n_atoms: int, seconds: float
) -> Row:
    """Errors, times and memory of at least ``n_atoms`` atoms.

    Args:
        candidate: What to measure.
        cell: What is repeated.
        expected: What must come out for the cell.
        n_atoms: How many atoms, at least.
        seconds: For timed steps; one always counts.
    """
    atoms = supercell_of(cell, n_atoms)
    before, start = gpu_megabytes(), time.perf_counter()
    opened = candidate.open()
    found = opened.step(atoms)
    first_seconds = time.perf_counter() - start
    row = {
        "engine": opened.description,
        **errors(found, expected.repeated(len(atoms) // len(cell)), atoms),
        "first_step_seconds": first_seconds,
        **times(opened, atoms, seconds),
    }
    on_gpu = candidate.device == "cuda"
    return {**row, "gpu_megabytes": gpu_megabytes() - before if on_gpu else 0.0}


def gpu_megabytes() -> float:
    """Memory of the GPU in use, in MB."""
    used = nvidia_smi("memory.used")
    return float(used[0]) * 1.048576 if used else 0.0


def errors(found: Step, expected: Evaluation, atoms: Atoms) -> Row:
    """How far a step is from what must come out, and how large that is."""
    return {
        "energy_error_per_atom": abs(found.energy - expected.energy) / len(atoms),
        "force_error": float(np.abs(found.forces - expected.forces).max()),
        "largest_force": float(np.abs(expected.forces).max()),
        "stress_error": float(np.abs(found.stress - expected.stress(atoms)).max()),
        "largest_stress": float(np.abs(expected.stress(atoms)).max()),
    }


def times(opened: Opened, atoms: Atoms, seconds: float) -> Row:
    """Times of steps, the atoms moving a little before each: medians, and every one."""
    rng = np.random.default_rng(0)
    whole: list[float] = []
    network: list[float] = []
    for _ in range(_WARM_UP + _STEPS):
        atoms.positions += rng.uniform(-_MOVE, _MOVE, atoms.positions.shape)
        start = time.perf_counter()
        step = opened.step(atoms)
        whole.append(time.perf_counter() - start)
        network.append(step.network_seconds)
        if len(whole) > _WARM_UP and sum(whole[_WARM_UP:]) > seconds:
            break
    step_seconds = statistics.median(whole[_WARM_UP:])
    return {
        "seconds": step_seconds,
        "network_seconds": statistics.median(network[_WARM_UP:]),
        "steps_per_second": 1 / step_seconds,
        "all_seconds": whole[_WARM_UP:],
        "all_network_seconds": network[_WARM_UP:],
    }


def line_of(row: Row) -> str:
    """A row for people."""
    start = f"{row['candidate']:9} {row['atoms']:8,d} atoms  "
    if "error" in row:
        return start + str(row["error"]).replace("\n", " ")[:200]
    return start + (
        f"{row['steps_per_second']:7.2f} steps/s  {1e3 * row['seconds']:8.1f} ms"
        f"  network {1e3 * row['network_seconds']:8.1f} ms"
        f"  first {row['first_step_seconds']:5.1f} s"
        f"  ΔE {row['energy_error_per_atom']:.1e} eV/atom"
        f"  ΔF {row['force_error']:.1e} of {row['largest_force']:.1e} eV/Å"
        f"  Δσ {row['stress_error']:.1e} of {row['largest_stress']:.1e} eV/Å³"
        f"  GPU {row['gpu_megabytes']:,.0f} MB"
    )
