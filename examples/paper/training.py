"""Does a training on pruned triplets lose anything? The paper's Table 1, asked again.

Small M3GNets learn silica from the built-in model, whose three-body block works, with 0 to 100 % of
their triplets dropped: once with triplets on the right bonds, once on the wrong ones, as matgl put
them before 4.1. Then each runs molecular dynamics as it was trained, and its radial distribution
functions are compared with the teacher's, against the noise of seeds and of runs.

    python examples/paper/training.py --work DIR               # reduced: 40 minutes of a core
    python examples/paper/training.py --work DIR --size full   # 64 wide, 30,000 steps, five seeds

Goes on where it was stopped. Needs the extras ``distill`` and ``validate``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from findings import LIMIT, R_MAX, broken_runs
from present import insert
from trainings import ROUTINGS, Size, Trained, amounts, labels_of, learn, models_of

from m3compress.analysis.observables.distances import rdf_error
from m3compress.analysis.observables.pairs import TOTAL, pair_distribution
from m3compress.analysis.statistics.arms import compare_curves
from m3compress.console import stage_bar
from m3compress.contract.evaluation import EvaluatorSpec
from m3compress.distill.data.label_store import LabelStore
from m3compress.engines.dynamics.job import Job
from m3compress.engines.dynamics.pool import Run, run_jobs
from m3compress.engines.dynamics.processes import worker_processes
from m3compress.models.structures.crystals import build_crystal
from m3compress.models.structures.supercell import supercell_of
from m3compress.validate.result import Measurement, judge

SIZES = {
    "reduced": Size(amounts=amounts(120, 120, 12, 48)),
    "full": Size(
        n_seeds=5,
        width=64,
        steps=30_000,
        amounts=amounts(600, 1200, 48, 240),
        n_atoms=200,
        equilibration=1000,
        sampled=10_000,
        every=20,
    ),
}
PAIRS = (TOTAL, "Si-Si")  # of cations, as the paper's Se-Se
BEGIN = "<!-- made by examples/paper/training.py -->"
_TEACHER, _ITSELF = "teacher", "teacher again"


@dataclass(frozen=True, slots=True)
class Drift:
    """How far a distribution is from the teacher's.

    Attributes:
        arm: Routing and part dropped, such as ``right-40``, or the teacher itself.
        pair: Pair of elements, or ``total``.
        value: rdf_error in %, noise of seeds and runs taken out.
        low: Lower end of its 95 % interval.
        high: Upper end.
        floor: What noise alone gives, in %.
        verdict: By the limit of the gate.
    """

    arm: str
    pair: str
    value: float
    low: float
    high: float
    floor: float
    verdict: str


def train_all(size: Size, store: LabelStore, folder: Path, n_workers: int) -> list[dict[str, Any]]:
    """Train and measure all models side by side; those that are done are only read."""
    folder.mkdir(parents=True, exist_ok=True)
    models = list(models_of(size))
    waiting = [model for model in models if not (folder / f"{model.name}.json").exists()]
    with stage_bar() as progress, worker_processes(min(n_workers, len(waiting) or 1)) as executor:
        futures = [executor.submit(learn, model, size, store, folder) for model in waiting]
        for number, future in enumerate(as_completed(futures), 1):
            future.result()
            progress("trainings", number / len(waiting))
    return [json.loads((folder / f"{model.name}.json").read_text()) for model in models]


def run_all(size: Size, store: LabelStore, work: Path, n_workers: int) -> dict[str, list[Run]]:
    """Dynamics of every model, of the teacher, and of the teacher with other seeds."""
    arms: dict[str, list[EvaluatorSpec]] = {
        name: [store.teacher.spec] * size.n_seeds for name in (_TEACHER, _ITSELF)
    }
    for model in models_of(size):
        arms.setdefault(_arm(model), []).append(model.spec(work / "models"))
    jobs = {arm: [_job(arm, i, one, size) for i, one in enumerate(s)] for arm, s in arms.items()}
    with stage_bar() as progress:
        everything = [job for own in jobs.values() for job in own]
        done = run_jobs(everything, work / "dynamics", n_workers, progress)
    runs = {run.job.name: run for run in done}
    return {arm: [runs[job.name] for job in own] for arm, own in jobs.items()}


def _arm(model: Trained) -> str:
    return f"{model.routing}-{100 * model.dropped:.0f}"


def _job(arm: str, replica: int, evaluator: EvaluatorSpec, size: Size) -> Job:
    name = f"{arm.replace(' ', '-')}-{replica}"
    return Job(
        name=name,
        evaluator=evaluator.with_threads(1),
        structure=supercell_of(build_crystal("SiO2-quartz"), size.n_atoms),
        ensemble="nvt",
        temperature=size.temperature,
        timestep=1.5,
        equilibration=size.equilibration,
        steps=size.sampled,
        every=size.every,
        seed=crc32(name.encode()),
    )


def drifts_of(arms: dict[str, list[Run]]) -> Iterator[Drift]:
    """Every arm but the teacher's own against it; an arm with a broken run has none."""
    found = {
        arm: [pair_distribution(run.frames, R_MAX) for run in runs]
        for arm, runs in arms.items()
        if not broken_runs(runs)
    }
    right = found.pop(_TEACHER)
    r = right[0].r
    for arm, ours in found.items():
        for pair in PAIRS:
            sides = [[replica.g[pair] for replica in side] for side in (ours, right)]
            compared = compare_curves(*sides, lambda g, target: rdf_error(r, g, target))
            measured = Measurement(value=compared.value, interval=compared.interval)
            verdict = str(judge(measured, LIMIT))
            yield Drift(arm, pair, compared.value, *compared.interval, compared.floor, verdict)


def table(models: Sequence[dict[str, Any]], drifts: Sequence[Drift], broken: Sequence[str]) -> str:
    """A line for each routing and part dropped, as Markdown."""
    known = {(drift.arm, drift.pair): drift for drift in drifts}
    lines = [
        "| triplets | dropped, % | F as trained, meV/Å | with all | with none | share, % | "
        + " | ".join(f"g(r) {pair}: drift, % (95 %) | floor, % | verdict" for pair in PAIRS)
        + " |",
        "|---|--:|--:|--:|--:|--:|" + "--:|--:|---|" * len(PAIRS),
    ]
    for routing, dropped in dict.fromkeys((m["routing"], m["dropped"]) for m in models):
        own = [m for m in models if (m["routing"], m["dropped"]) == (routing, dropped)]
        errors = [
            _spread([m["errors"][how]["force_mae"] for m in own])
            for how in ("trained", "all", "none")
        ]
        share = _spread([m["share_percent"] for m in own])
        arm = f"{routing}-{100 * dropped:.0f}"
        cells = [_cells(known.get((arm, pair)), arm, broken) for pair in PAIRS]
        cells = [f"{100 * dropped:.0f}", *errors, share, *cells]
        lines.append(f"| {routing} | {' | '.join(cells)} |")
    own = [_cells(known.get((_ITSELF, pair)), _ITSELF, broken) for pair in PAIRS]
    lines.append(f"| {_ITSELF} | – | – | – | – | – | {' | '.join(own)} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    """Mean over seeds ± their standard deviation."""
    return f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"


def _cells(drift: Drift | None, arm: str, broken: Sequence[str]) -> str:
    if drift is None:
        count = sum(line.startswith(f"{arm.replace(' ', '-')}-") for line in broken)
        return f"{count} runs broke | – | –"
    interval = f"{drift.value:.1f} [{drift.low:.1f}, {drift.high:.1f}]"
    return f"{interval} | {drift.floor:.1f} | {drift.verdict}"


def draw(models: Sequence[dict[str, Any]], drifts: Sequence[Drift], path: Path) -> None:
    """Force error, share of the block, and drift against the part that was dropped."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    for routing, color in zip(ROUTINGS, ("#2a78d6", "#d03b3b"), strict=True):
        own = [m for m in models if m["routing"] == routing]
        x = [100 * m["dropped"] for m in own]
        axes[0].plot(x, [m["errors"]["trained"]["force_mae"] for m in own], "o", color=color)
        axes[1].plot(x, [m["share_percent"] for m in own], "o", color=color, label=routing)
        total = {d.arm: d for d in drifts if d.pair == TOTAL}
        for dropped in sorted({m["dropped"] for m in own}):
            drift = total.get(f"{routing}-{100 * dropped:.0f}")
            if drift is not None:
                at = 100 * dropped + (1 if routing == "right" else -1)
                axes[2].plot([at, at], [drift.low, drift.high], color=color)
                axes[2].plot([at], [drift.value], "o", color=color)
    labels = ("force error as trained (meV/Å)", "share of the block (%)", "drift of g(r) (%, 95 %)")
    for ax, label in zip(axes, labels, strict=True):
        ax.set(xlabel="triplets dropped (%)", ylabel=label)
        ax.set_ylim(bottom=0)
    axes[1].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="labels, models and trajectories")
    parser.add_argument("--size", choices=tuple(SIZES), default="reduced")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, help="results as JSON (default: WORK/results.json)")
    parser.add_argument("--figure", type=Path, help="a PNG file (default: WORK/training.png)")
    parser.add_argument("--document", type=Path, help="Markdown file to put the table into")
    return parser.parse_args()


def main() -> None:
    """Label, train, run, compare, and write table and figure."""
    given = options()
    given.work.mkdir(parents=True, exist_ok=True)
    size, began = SIZES[given.size], time.perf_counter()
    store = labels_of(size, given.work)
    store.fill(given.workers)
    models = train_all(size, store, given.work / "models", given.workers)
    arms = run_all(size, store, given.work, given.workers)
    broken = [line for runs in arms.values() for line in broken_runs(runs)]
    drifts = list(drifts_of(arms))
    text = table(models, drifts, broken)
    document = {
        "command": f"python examples/paper/training.py --size {given.size}",
        "machine": {"processors": os.cpu_count(), "platform": platform.machine()},
        "minutes_of_this_run": round((time.perf_counter() - began) / 60, 1),
        "size": asdict(size),
        "models": models,
        "drifts": [asdict(drift) for drift in drifts],
        "broken": broken,
    }
    output = given.output or given.work / "results.json"
    output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    draw(models, drifts, given.figure or given.work / "training.png")
    if given.document:
        insert(given.document, text, BEGIN)
    print(text)


if __name__ == "__main__":
    main()
