"""How close atoms come in the frames that trained the built-in model, for its metadata.

    python benchmarks/closest_approach.py ../shared/models/M3GNet-MP-2021.2.8-EFS-tensorflow

Distorted crystals and pairs are those of the training; trajectories, those at 1200 K, are driven by
the exported model itself, which is a hundred times faster than the one that labelled them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from m3compress.api import export_model, load_potential
from m3compress.contract.distances import merged, shortest_distances
from m3compress.distill.data.plan import of_split
from m3compress.distill.recipes.builtin.frames import plan, sampler
from m3compress.distill.recipes.builtin.recipe import CONFIG
from m3compress.engines.evaluator import ArtefactEvaluator

HOTTEST = 1200


def main() -> None:
    """Print the shortest distance of each pair of elements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reference", type=Path)
    chosen = parser.parse_args()
    known: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        student = ArtefactEvaluator(export_model("builtin", folder / "x.m3c.onnx").path, threads=1)
        still = sampler(load_potential(chosen.reference), "reference", folder)
        moving = sampler(student, "builtin", folder)
        for group in of_split(plan(), "train"):
            if group.kind == "trajectory" and group.temperature != HOTTEST:
                continue
            make = moving if group.kind == "trajectory" else still
            known = merged(known, shortest_distances(make(group), CONFIG.cutoff))
    print(json.dumps(known))


if __name__ == "__main__":
    main()
