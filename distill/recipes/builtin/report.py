"""Figures of the model card, as JSON: ``python -m m3compress.distill.recipes.builtin.report``.

Everything is measured on the weights in the package (or in ``--model``), with held-back frames from
the work directory of :mod:`.train`. How well energy is conserved, the release gate says
(``benchmarks/nve_drift.py``).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms, units

from m3compress.contract.arrays import FloatArray
from m3compress.contract.forms import FACTORIZED, REMOVED
from m3compress.distill.data.frame_store import FrameStore
from m3compress.distill.data.plan import SPLITS, of_split
from m3compress.distill.recipes.builtin.frames import plan
from m3compress.distill.recipes.builtin.train import CHECKPOINT, FRAMES
from m3compress.distill.training.run import read_checkpoint
from m3compress.models.potential import Potential, evaluate
from m3compress.models.readers.matgl import read_matgl
from m3compress.units import MEV_PER_EV

#: Where the weights stand that come with the package.
BUILTIN = Path(str(files("m3compress.models.builtin")))

_EV_PER_A3_TO_GPA = 1 / units.GPa


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


def report(model: Path, work: Path) -> dict[str, Any]:
    """All figures of the card that come from frames and from the training.

    Args:
        model: Directory with the three files.
        work: Work directory of the training.
    """
    potential = read_matgl(model).with_form(FACTORIZED)
    store = FrameStore(work / FRAMES)
    groups: dict[str, list[Atoms]] = {}
    for group in of_split(plan(), "test"):
        frames = store.read([group])
        substance = "silicon" if set(frames[0].symbols) == {"Si"} else "silica"
        how = "distorted" if group.kind == "distorted" else "trajectories"
        groups.setdefault(f"{substance}, {how}", []).extend(frames)
    everything = [frame for frames in groups.values() for frame in frames]
    return {
        "training": _training(work),
        "held_back": {
            "all": held_back_errors(potential, everything),
            **{name: held_back_errors(potential, frames) for name, frames in groups.items()},
        },
    }


def _training(work: Path) -> dict[str, Any]:
    document = read_checkpoint(work / CHECKPOINT)
    return {
        "planned_frames": {
            split: sum(group.n_frames for group in of_split(plan(), split)) for split in SPLITS
        },
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
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    found = report(chosen.model, chosen.work)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
