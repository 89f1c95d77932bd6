"""How often intervals cover a known change of distributions whose noise is that of real dynamics.

Runs many replicas of alpha-quartz with the built-in model, as the gate does in a profile. Draws two
arms of as many replicas as the profile has, again and again, and changes the distributions of one
by a known amount: half of the gate's limit, and all of it. Every interval states 95 %.

    python benchmarks/coverage_md.py --work DIR

The noise is what ``benchmarks/coverage.py`` has to make up: its memory, its size from bin to bin,
and how many independent modes it has. Trials share replicas, so that the standard error of a
coverage is larger than that of independent trials.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from machine import command, machine
from silica_gate import gate_of

from m3compress.analysis.observables.angles import angle_distribution
from m3compress.analysis.observables.distances import adf_error, rdf_error
from m3compress.analysis.observables.pairs import pair_distribution
from m3compress.analysis.statistics.arms import compare_paired_curves
from m3compress.api import export_model
from m3compress.console import stage_bar
from m3compress.engines.dynamics.pool import Run, run_jobs
from m3compress.validate.checks.runs import plan
from m3compress.validate.checks.structure_drift import thinned
from m3compress.validate.setup.limits import read_limits
from m3compress.validate.setup.profiles import CI, SMOKE, Profile

Array = npt.NDArray[np.float64]

RESULTS = Path(__file__).parent / "results" / "coverage_md.json"
#: Several times those of the profiles, so that arms can be drawn from them.
_REPLICAS = {SMOKE: 24, CI: 16}


@dataclass(frozen=True, slots=True)
class Observable:
    """A distribution in every frame of every replica.

    Attributes:
        check: Whose limit it has.
        name: Which it is.
        x: Abscissa, shape (n_bins,).
        replicas: Arrays of shape (n_frames, n_bins).
        distance: Of two distributions on this abscissa, in %.
        width: Of a peak, in units of x.
    """

    check: str
    name: str
    x: Array
    replicas: tuple[Array, ...]
    distance: Callable[[Array, Array, Array], Array]
    width: float

    @property
    def means(self) -> Array:
        """Of every replica, shape (n_replicas, n_bins)."""
        return np.array([replica.mean(axis=0) for replica in self.replicas])

    def apart(self, ours: Array, theirs: Array) -> Array:
        """Distance of distributions (..., n_bins) from one, shape (...)."""
        return self.distance(self.x, ours, theirs)

    def shapes(self) -> dict[str, Array]:
        """Of differences, by name, shape (n_bins,) each."""
        mean, scatter = self.means.mean(axis=0), self.means.std(axis=0, ddof=1)
        waves = np.sin(2 * np.pi * np.linspace(0, 5, len(self.x)))
        top = self.x[int(np.argmax(mean))]
        return {
            "spread out": waves * scatter,
            "of one sign": scatter,
            "in one peak": np.exp(-(((self.x - top) / self.width) ** 2)),
            "shifted": np.gradient(mean, self.x),
        }


def runs_of(profile: Profile, artefact: Path, work: Path) -> list[Run]:
    """Many replicas of the exported file at constant temperature."""
    many = replace(profile, n_replicas=_REPLICAS[profile], npt_duration=0.0, law_factors=())
    context = gate_of(many, artefact, work)
    jobs = [job for name, job in plan(context).items() if "-candidate-nvt-" in name]
    with stage_bar() as progress:
        return run_jobs(jobs, context.trajectories, context.n_workers, progress)


def observables_of(runs: Sequence[Run], r_max: float) -> Iterator[Observable]:
    """Distributions of pair distances and of angles."""
    pairs = [pair_distribution(run.frames, r_max) for run in runs]
    for pair in pairs[0].g:
        found = tuple(np.asarray(one.g[pair]) for one in pairs)
        yield Observable("md.rdf", pair, pairs[0].r, found, rdf_error, 0.06)
    angles = [angle_distribution(thinned(run.frames)) for run in runs]
    densities = tuple(density for _, density in angles)
    yield Observable("md.adf", "angles", angles[0][0], densities, adf_error, 4.0)


def modes(means: Array) -> float:
    """Of how many independent numbers the noise of a distribution is made: (tr Σ)² / tr Σ².

    Both traces freed of the bias that few replicas give them (moments of a Wishart matrix).

    Args:
        means: Of every replica, shape (n_replicas, n_bins).
    """
    deviations = means - means.mean(axis=0)
    gram, n = deviations @ deviations.T, len(means) - 1
    square, squares = float(np.trace(gram)) ** 2, float((gram**2).sum())
    inner = (squares - square / n) / (1 + 1 / n - 2 / n**2)
    return (square - 2 * inner / n) / inner


def coverage(
    observable: Observable, shape: Array, size: float, n_replicas: int, n_trials: int
) -> dict[str, Any]:
    """Share of intervals that cover the distance that a change of a given shape has."""
    mean = observable.means.mean(axis=0)
    step = 1e-3 / float(np.abs(shape).max())
    change = shape * size / (float(observable.apart(mean + step * shape, mean)) / step)
    true = float(observable.apart(mean + change, mean))
    low, high = np.empty((2, n_trials))
    for k in range(n_trials):
        rng = np.random.default_rng([k, 11])
        drawn = rng.permutation(len(observable.replicas))[: 2 * n_replicas]
        ours, theirs = ([observable.replicas[i] for i in part] for part in np.split(drawn, 2))
        changed = [replica + change for replica in ours]
        low[k], high[k] = compare_paired_curves(changed, theirs, observable.apart, k).interval
    return {
        "true": float(f"{true:.3g}"),
        "coverage": float(np.mean((low <= true) & (true <= high))),
        "half_width": float(f"{np.median(high - low) / 2:.3g}"),
        "trials": n_trials,
    }


def rows(profile: Profile, runs: Sequence[Run], n_trials: int) -> Iterator[dict[str, Any]]:
    """Every distribution, shape and size of a profile."""
    limits = read_limits(profile.name)
    for observable in observables_of(runs, profile.r_max):
        limit = limits[observable.check].value
        if not isinstance(limit, float):
            raise TypeError(f"{observable.check} has no limit")
        noise = {"modes": round(modes(observable.means), 1), "replicas": len(runs)}
        for (label, shape), share in product(observable.shapes().items(), (0.5, 1.0)):
            found = coverage(observable, shape, share * limit, profile.n_replicas, n_trials)
            case = {"check": observable.check, "of": observable.name, "shape": label}
            yield {"profile": profile.name, **case, "of_limit": share, **found, **noise}


def main() -> None:
    """Run, measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--trials", type=int, default=100, help="per case")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()

    options.work.mkdir(parents=True, exist_ok=True)
    artefact = options.work / "silica.m3c.onnx"
    if not artefact.is_file():
        export_model("builtin", artefact)
    found = []
    for profile in _REPLICAS:
        runs = runs_of(profile, artefact, options.work / profile.name)
        for row in rows(profile, runs, options.trials):
            found.append(row)
            sys.stderr.write(f"{json.dumps(row)}\n")
    document = {
        "command": command(),
        "machine": machine(),
        "rows": found,
    }
    options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
