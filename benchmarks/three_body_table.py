"""What the three-body block is worth: errors against DFT with it, without it, and pruned.

Writes a table of energy and force errors of published checkpoints on MPtrj and Alexandria frames::

    OMP_NUM_THREADS=1 python benchmarks/three_body_table.py

The checkpoints of 2021 were fitted to uncorrected DFT energies. Labels are taken as they stand in
the files and no offset is fitted; MPtrj's highest-stress frames are far from equilibrium, so that
errors are larger than on typical frames. Interrupted runs go on where they stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.io import read
from machine import machine
from rich.console import Console
from rich.progress import Progress

from m3compress.contract.forms import FACTORIZED, REMOVED, ThreeBodyForm
from m3compress.errors import StructureError
from m3compress.models.potential import Potential, evaluate
from m3compress.models.readers.open import read_model

ROOT = Path(__file__).resolve().parent.parent
DATASETS = {
    "MPtrj (highest stress)": "mptrj-highest-stress-1k.xyz",
    "Alexandria (random)": "alexandria-random-first500.xyz",
}
ORIGINAL = "M3GNet-MP-2021.2.8-EFS-tensorflow"
DGL_ERA = (
    "M3GNet-MP-2021.2.8-PES",
    "M3GNet-MatPES-PBE-v2025.1-PES",
    "M3GNet-MatPES-r2SCAN-v2025.1-PES",
)
PRUNED = (0.2, 0.4, 0.6, 0.8, 1.0)


def main() -> None:
    """Measure, print the table, write the JSON document."""
    arguments = _parse()
    torch.set_num_threads(1)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    cache = arguments.json.with_suffix(".partial.jsonl")
    started = time.perf_counter()
    measured = measure(arguments.shared, arguments.frames, cache)
    document = {
        "command": f"python benchmarks/three_body_table.py --frames {arguments.frames}",
        "machine": {**machine(), "threads": torch.get_num_threads(), "torch": torch.__version__},
        "seconds": round(time.perf_counter() - started, 1),
        "units": {"energy_mae": "meV/atom", "force_mae": "meV/Å", "force_change_mae": "meV/Å"},
        "notes": [
            "forms of one checkpoint see the same frames, picked with a fixed stride",
            "energies are compared with the labels as they are: no offset is fitted, no correction",
            "the MPtrj frames are those of the highest stress, far from equilibrium",
            "frames with an element that a checkpoint does not know are left out for it",
            "r2SCAN energies against PBE labels are not comparable; their force errors barely are",
        ],
        "rows": summarize(measured),
    }
    partial = arguments.json.with_suffix(".partial")
    partial.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(arguments.json)
    cache.unlink()
    for row in document["rows"]:
        print(_line(row))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(os.environ.get("M3COMPRESS_SHARED", ROOT.parent / "shared"))
    output = ROOT / "benchmarks" / "results" / "three_body_table.json"
    parser.add_argument("--frames", type=int, default=100, help="frames of each data set")
    parser.add_argument("--shared", type=Path, default=shared, help="folder with the data")
    parser.add_argument("--json", type=Path, default=output, help="where to write the result")
    return parser.parse_args()


def forms_of(checkpoint: str, full: ThreeBodyForm) -> dict[str, ThreeBodyForm]:
    """The forms to measure, by name; the first is the one the checkpoint was trained with."""
    forms = {"full": full}
    if checkpoint == ORIGINAL:
        forms["factorized"] = FACTORIZED
        forms |= {f"pruned {p:g}": ThreeBodyForm(name="pruned", fraction=p) for p in PRUNED}
    return forms | {"removed": REMOVED}


def measure(shared: Path, n_frames: int, cache: Path) -> list[dict[str, Any]]:
    """One record for each (data set, checkpoint, frame), resumed from the lines of ``cache``."""
    lines = cache.read_text(encoding="utf-8").splitlines() if cache.exists() else []
    records = [json.loads(line) for line in lines]
    records = [record for record in records if record["n_frames"] == n_frames]
    done = {(record["data"], record["checkpoint"], record["frame"]) for record in records}
    checkpoints = (ORIGINAL, *DGL_ERA)
    data = {name: _frames(shared / "data" / file, n_frames) for name, file in DATASETS.items()}
    total = len(checkpoints) * sum(map(len, data.values()))
    with Progress(console=Console(file=sys.stderr)) as progress, cache.open("a") as stream:
        task = progress.add_task("frames", total=total)
        for checkpoint in checkpoints:
            potential = read_model(shared / "models" / checkpoint).to(torch.float32)
            for name, frame, atoms in _each(data):
                if (name, checkpoint, frame) not in done:
                    record = {"data": name, "checkpoint": checkpoint, "frame": frame}
                    record |= {"n_frames": n_frames, "forms": _measure_frame(potential, atoms)}
                    stream.write(json.dumps(record) + "\n")
                    stream.flush()
                    records.append(record)
                progress.advance(task)
    return records


def _frames(path: Path, n_frames: int) -> dict[int, Atoms]:
    frames = read(path, ":")
    stride = max(1, len(frames) // n_frames)
    return {index: frames[index] for index in range(0, len(frames), stride)[:n_frames]}


def _each(data: dict[str, dict[int, Atoms]]) -> Iterator[tuple[str, int, Atoms]]:
    for name, frames in data.items():
        for frame, atoms in frames.items():
            yield name, frame, atoms


def _measure_frame(potential: Potential, atoms: Atoms) -> dict[str, dict[str, float]] | None:
    """Errors of every form on one frame, or None if the checkpoint does not know its elements."""
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    measured: dict[str, dict[str, float]] = {}
    full_forces = None
    for name, form in forms_of(Path(potential.provenance.path).name, potential.form).items():
        try:
            found = evaluate(potential.with_form(form), atoms)
        except StructureError:
            return None
        full_forces = found.forces if full_forces is None else full_forces
        measured[name] = {
            "n_components": forces.size,
            "energy": abs(found.energy - energy) / len(atoms),
            "force": float(np.abs(found.forces - forces).sum()),
            "change": float(np.abs(found.forces - full_forces).sum()),
            "size": float(np.abs(forces).sum()),
        }
    return measured


def summarize(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean absolute errors for each (data set, checkpoint, form) in meV/atom and meV/Å."""
    rows = []
    keys = {(record["data"], record["checkpoint"]): None for record in records}
    for data, checkpoint in keys:
        chosen = [r["forms"] for r in records if (r["data"], r["checkpoint"]) == (data, checkpoint)]
        usable = [forms for forms in chosen if forms is not None]
        for form in usable[0] if usable else ():
            each = [forms[form] for forms in usable]
            components = sum(entry["n_components"] for entry in each)
            rows.append(
                {
                    "data": data,
                    "checkpoint": checkpoint,
                    "form": form,
                    "n_frames": len(each),
                    "energy_mae": 1e3 * float(np.mean([entry["energy"] for entry in each])),
                    "force_mae": 1e3 * sum(entry["force"] for entry in each) / components,
                    "force_change_mae": 1e3 * sum(entry["change"] for entry in each) / components,
                    "mean_force": 1e3 * sum(entry["size"] for entry in each) / components,
                }
            )
    return rows


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['data']:24} {row['checkpoint']:34} {row['form']:12} {row['n_frames']:4d} "
        f"E {row['energy_mae']:9.2f} meV/atom  F {row['force_mae']:8.2f} meV/Å  "
        f"moved {row['force_change_mae']:9.4f} meV/Å  (mean |F| {row['mean_force']:.1f})"
    )


if __name__ == "__main__":
    main()
