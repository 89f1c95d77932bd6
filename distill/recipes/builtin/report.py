"""Figures of the model card, as JSON: ``python -m m3compress.distill.recipes.builtin.report``.

Everything is measured on the weights in the package (or in ``--model``), with held-back frames from
the work directory of :mod:`.train`.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.md.verlet import VelocityVerlet

from m3compress.contract.forms import FACTORIZED, REMOVED
from m3compress.contract.neighbors import FloatArray
from m3compress.distill.recipes.builtin.frames import SILICON, plan, quartz, read_frames
from m3compress.models.builtin.calculator import TorchCalculator
from m3compress.models.potential import Potential, evaluate
from m3compress.models.readers.matgl import read_matgl
from m3compress.units import MEV_PER_EV

logger = logging.getLogger(__name__)

#: Where the weights stand that come with the package.
BUILTIN = Path(str(files("m3compress.models.builtin")))

_EV_PER_A3_TO_GPA = 1 / units.GPa
_PICOSECOND = 1000  # steps of 1 fs


def held_back_errors(potential: Potential, frames: Sequence[Atoms]) -> dict[str, float]:
    """Errors against the labels, and how far forces move when the three-body block is removed.

    Args:
        potential: The model.
        frames: Labelled frames.

    Returns:
        Mean absolute and root-mean-square errors, in meV/atom, meV/Å and GPa, and the share of the
        three-body block: RMS of the force change over RMS of the force.
    """
    energy, force, stress, moved, labels = [], [], [], [], []
    removed = potential.with_form(REMOVED)
    for frame in frames:
        found = evaluate(potential, frame)
        energy.append((found.energy - frame.get_potential_energy()) / len(frame))
        force.append(found.forces - frame.get_forces())
        stress.append(found.stress(frame) - frame.get_stress())
        moved.append(evaluate(removed, frame).forces - found.forces)
        labels.append(frame.get_forces())
    forces, label, shift = np.concatenate(force), np.concatenate(labels), np.concatenate(moved)
    return {
        "frames": len(frames),
        "atoms": len(label),
        "energy_mae_mev_per_atom": MEV_PER_EV * _mean(energy),
        "force_mae_mev_per_a": MEV_PER_EV * _mean(forces),
        "force_rmse_mev_per_a": MEV_PER_EV * _rms(forces),
        "mean_abs_force_mev_per_a": MEV_PER_EV * _mean(label),
        "force_mae_percent": 100 * _mean(forces) / _mean(label),
        "stress_mae_gpa": _EV_PER_A3_TO_GPA * _mean(stress),
        "three_body_share_percent": 100 * _rms(shift) / _rms(label),
    }


def _mean(values: Any) -> float:
    return float(np.abs(np.asarray(values)).mean())


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.square(values).mean()))


def energy_conservation(
    potential: Potential, atoms: Atoms, temperature: float, *, picoseconds: float
) -> dict[str, float]:
    """Constant-energy dynamics with steps of 1 fs from a crystal at rest.

    Args:
        potential: The model.
        atoms: A crystal near its equilibrium.
        temperature: Mean temperature in K; the velocities are drawn at twice that, half of which
            the lattice takes up.
        picoseconds: Length.

    Returns:
        Slope of the total energy after the first fifth, its standard deviation, the largest
        distance from its start (meV/atom), and the mean and largest temperature in K.
    """
    atoms = atoms.copy()
    atoms.calc = TorchCalculator(potential)
    rng = np.random.default_rng(int(temperature))
    MaxwellBoltzmannDistribution(atoms, temperature_K=2 * temperature, rng=rng)
    Stationary(atoms)
    dynamics = VelocityVerlet(atoms, 1.0 * units.fs)
    energies, temperatures = [], []
    for _ in dynamics.irun(int(picoseconds * _PICOSECOND)):
        energies.append(atoms.get_total_energy() / len(atoms))
        temperatures.append(atoms.get_temperature())
    total = MEV_PER_EV * np.array(energies)
    settled = total[len(total) // 5 :]
    times = np.arange(len(settled)) / _PICOSECOND
    return {
        "atoms": len(atoms),
        "picoseconds": picoseconds,
        "drift_mev_per_atom_per_ps": float(np.polyfit(times, settled, 1)[0]),
        "fluctuation_mev_per_atom": float(settled.std()),
        "largest_excursion_mev_per_atom": float(np.abs(total - total[0]).max()),
        "mean_temperature_k": float(np.mean(temperatures[len(total) // 5 :])),
        "max_temperature_k": float(np.max(temperatures)),
    }


def report(model: Path, work: Path, *, picoseconds: float) -> dict[str, Any]:
    """All figures of the card.

    Args:
        model: Directory with the three files.
        work: Work directory of the training.
        picoseconds: Length of each constant-energy run.
    """
    potential = read_matgl(model).with_form(FACTORIZED)
    frames = read_frames(work / "frames", "test")
    groups: dict[str, list[Atoms]] = {}
    for frame in frames:
        kind = "silicon" if set(frame.symbols) == {"Si"} else "silica"
        how = "distorted" if frame.info["group"].endswith("-0") else "trajectories"
        groups.setdefault(f"{kind}, {how}", []).append(frame)
    held = {name: held_back_errors(potential, chosen) for name, chosen in groups.items()}
    logger.info("errors done")
    silicon = bulk("Si", a=SILICON, cubic=True)
    crystals = {"alpha-quartz": quartz().repeat((2, 2, 1)), "silicon": silicon.repeat((2, 2, 1))}
    dynamics = {}
    for (name, atoms), temperature in ((c, t) for c in crystals.items() for t in (300, 600)):
        single = potential.to(torch.float32)
        found = energy_conservation(single, atoms, temperature, picoseconds=picoseconds)
        dynamics[f"{name}, {temperature} K"] = found
        logger.info("dynamics of %s at %d K: %s", name, temperature, found)
    return {
        "training": _training(work),
        "held_back": {"all": held_back_errors(potential, frames), **held},
        "constant_energy": dynamics,
    }


def _training(work: Path) -> dict[str, Any]:
    planned = {
        split: sum(group.n_frames for group in plan() if group.split == split)
        for split in ("train", "validation", "test")
    }
    document = torch.load(work / "checkpoint.pt", weights_only=True)
    return {
        "planned_frames": planned,
        "epochs": document["epoch"],
        "minutes": document["seconds"] / 60,
        "validation": document["history"][-1],
        "weights": sum(
            weight.numel() for name, weight in document["network"].items() if name != "scales"
        ),
    }


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m m3compress.distill.recipes.builtin.report")
    parser.add_argument("--work", type=Path, required=True, help="work directory of the training")
    parser.add_argument("--model", type=Path, default=BUILTIN, help="directory of the weights")
    parser.add_argument(
        "--picoseconds", type=float, default=5.0, help="length of each dynamics run"
    )
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    torch.set_num_threads(chosen.threads)
    found = report(chosen.model, chosen.work, picoseconds=chosen.picoseconds)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
