"""Does molecular dynamics survive without triplets? The ten crystals of the paper, run again.

For a model whose three-body block was trained with misrouted triplets (the paper's) and for one
whose block works (the TensorFlow original), the block is left as it is, factorised, pruned and
removed; NPT at 300 K, 1 fs. Radial distribution functions are compared with those of the full model
against its own run-to-run noise.

    python examples/paper/study.py --work DIR                  # reduced: half an hour on two cores
    python examples/paper/study.py --work DIR --size paper     # 5×5×5 cells, 10 ps, 3 replicas

Goes on where it was stopped. Needs the extra ``validate`` and the checkpoints and structures in
``../shared``, or where ``M3COMPRESS_SHARED`` says.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from findings import broken_runs, distributions_of, drifts_of, force_changes
from plan import MODELS, PAPER, REDUCED, SHOWN, Arm, plan, read_crystals, specs_of
from present import draw, insert, tables

from m3compress.console import stage_bar
from m3compress.engines.dynamics.pool import Run, run_jobs

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"reduced": REDUCED, "paper": PAPER}


def run(arms: Sequence[Arm], work: Path, n_workers: int) -> list[tuple[Arm, list[Run]]]:
    """All runs, those that are already in ``work`` only read."""
    jobs = [job for arm in arms for job in arm.jobs]
    with stage_bar() as progress:
        done = {run.job.name: run for run in run_jobs(jobs, work, n_workers, progress)}
    return [(arm, [done[job.name] for job in arm.jobs]) for arm in arms]


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of the trajectories")
    parser.add_argument("--size", choices=tuple(SIZES), default="reduced")
    parser.add_argument("--only", nargs="+", metavar="CRYSTAL", help="some of the ten crystals")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, help="results as JSON (default: WORK/results.json)")
    parser.add_argument("--figure", type=Path, help="a PNG file (default: WORK/rdf.png)")
    parser.add_argument("--document", type=Path, help="Markdown file to put the tables into")
    return parser.parse_args()


def main() -> None:
    """Run, compare, and write tables and figure."""
    given = options()
    shared = Path(os.environ.get("M3COMPRESS_SHARED", ROOT.parent / "shared"))
    if not shared.is_dir():
        sys.exit(f"error: there is no {shared}\nhint: set M3COMPRESS_SHARED")
    crystals = read_crystals(shared)
    unknown = sorted(set(given.only or ()) - set(crystals))
    if unknown:
        sys.exit(f"error: no crystal {', '.join(unknown)}\nhint: {', '.join(crystals)}")
    crystals = {name: crystals[name] for name in given.only or crystals}
    finished = run(plan(shared, crystals, SIZES[given.size]), given.work, given.workers)
    changes = {model.name: force_changes(specs_of(model, shared), crystals) for model in MODELS}
    drifts = list(drifts_of(finished))
    text = tables(drifts, changes)
    document = {
        "command": f"python examples/paper/study.py --size {given.size}",
        "machine": {"processors": os.cpu_count(), "platform": platform.machine()},
        "forces_moved_percent": changes,
        "drifts": [asdict(drift) for drift in drifts],
        "broken": [line for _, runs in finished for line in broken_runs(runs)],
    }
    output = given.output or given.work / "results.json"
    output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if SHOWN in crystals:
        names = [model.name for model in MODELS]
        figure = given.figure or given.work / "rdf.png"
        draw(distributions_of(finished, SHOWN), names, figure)
    if given.document:
        insert(given.document, text)
    print(text)


if __name__ == "__main__":
    main()
