"""How often the intervals that verdicts use cover the truth, at the sizes of the profiles.

Draws series whose truth is known: replicas with memory from none to longer than a run, curves with
differences of several shapes, total energies with memory but no slope, errors of labelled frames.
Two arms share a part of their noise, replica by replica, as those of the gate do. Every interval
states 95 %.

    python benchmarks/coverage.py
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from machine import machine
from scipy.ndimage import uniform_filter1d
from scipy.signal import lfilter

from m3compress.analysis.observables.distances import rdf_error
from m3compress.analysis.statistics.arms import (
    compare_paired_curves,
    compare_pairs,
    mean_with_interval,
)
from m3compress.analysis.statistics.noise import expected_band
from m3compress.analysis.statistics.ratios import ratio_of_means, ratio_of_sums
from m3compress.analysis.statistics.slopes import fit_slope
from m3compress.analysis.statistics.spread import mean_deviation
from m3compress.validate.checks.students import FRAMES
from m3compress.validate.setup.profiles import PROFILES, Profile

Array = npt.NDArray[np.float64]
#: What an interval says, and whether it covers the truth: half of its width, covered.
Trial = Callable[[np.random.Generator], tuple[float, bool]]
Memory = Literal["of 3 frames", "far longer", "of one mode"]

RESULTS = Path(__file__).parent / "results" / "coverage.json"
_SPACING = 0.01  # ps between frames
_MEMORIES = {"none": 0.0, "5 % of a run": 0.05, "half of a run": 0.5, "far longer": math.inf}
_COEFFICIENTS = (0.0, 0.8, 0.95)
_R = np.linspace(0.03, 5.97, 100)
_G = 1 + 4 * np.exp(-(((_R - 1.6) / 0.12) ** 2)) - np.exp(-((_R / 1.2) ** 6))
_SCATTER = 0.15 * np.sqrt(_G + 1e-9) / (_R + 0.5)
#: A slow mode of a whole curve, with as much variance as the noise of all bins.
_MODE = np.cos(_R) * _SCATTER
_MODE *= math.sqrt(float((_SCATTER**2).sum() / (_MODE**2).sum()))
_LABELLED = (3, 20, 200)
_SPREADS = (1.3, 2.2, 3.3)
_SHAPES = {
    "spread out": np.sin(2 * np.pi * _R) * _SCATTER,
    "of one sign": _SCATTER,
    "in one peak": np.exp(-(((_R - 1.6) / 0.06) ** 2)),
    "shifted": np.gradient(_G, _R),
}


def autoregressive(rng: np.random.Generator, coefficient: float, *shape: int) -> Array:
    """Stationary noise of unit variance with memory along the first axis."""
    white = rng.normal(size=shape) * math.sqrt(1 - coefficient**2)
    white[0] /= math.sqrt(1 - coefficient**2)
    return np.asarray(lfilter([1], [1, -coefficient], white, axis=0))


def replicas(rng: np.random.Generator, profile: Profile, memory: float) -> list[Array]:
    """A scalar of every frame of every replica; memory in lengths of a run."""
    n = frames(profile.duration)
    if math.isinf(memory):
        return [rng.normal() + rng.normal(size=n) for _ in range(profile.n_replicas)]
    coefficient = math.exp(-1 / (memory * n)) if memory else 0.0
    return [autoregressive(rng, coefficient, n) for _ in range(profile.n_replicas)]


def frames(duration: float) -> int:
    """How many frames a run of so many ps has."""
    return round(duration / _SPACING)


def of_means(profile: Profile, memory: float) -> Iterator[tuple[str, Trial]]:
    """Mean of one arm, difference of two, and the band of a figure."""

    def one(rng: np.random.Generator) -> tuple[float, bool]:
        _, low, high = mean_with_interval(replicas(rng, profile, memory))
        return (high - low) / 2, low <= 0 <= high

    def two(rng: np.random.Generator) -> tuple[float, bool]:
        shared, ours, theirs = (replicas(rng, profile, memory) for _ in range(3))
        candidate = [s + own + 9.0 for s, own in zip(shared, ours, strict=True)]
        reference = [s + own for s, own in zip(shared, theirs, strict=True)]
        low, high = compare_pairs(candidate, reference).interval
        return (high - low) / 2, low <= 9 <= high

    def band(rng: np.random.Generator) -> tuple[float, bool]:
        first, other = (
            np.array([[part.mean()] for part in replicas(rng, profile, memory)]) for _ in range(2)
        )
        low, high = expected_band(first)
        return float(high[0] - low[0]) / 2, bool(low[0] <= other.mean() <= high[0])

    yield from (("mean", one), ("difference of means", two), ("band of a curve", band))


def of_students(profile: Profile, memory: float) -> Iterator[tuple[str, Trial]]:
    """Error of a student over the force that it is an error of, and spread of its energies."""

    def parts(rng: np.random.Generator, spread: float) -> list[Array]:
        """Of the frames that a teacher is asked about."""
        drawn = replicas(rng, profile, memory)
        return [
            1 + spread * part[np.linspace(0, len(part) - 1, FRAMES).astype(int)] for part in drawn
        ]

    def force(rng: np.random.Generator) -> tuple[float, bool]:
        scales = parts(rng, 0.05)
        errors = [scale * own for scale, own in zip(scales, parts(rng, 0.05), strict=True)]
        _, low, high = ratio_of_means(errors, scales)
        return (high - low) / 2, low <= 1 <= high

    def spread(rng: np.random.Generator) -> tuple[float, bool]:
        _, low, high = mean_deviation(parts(rng, 1.0))
        size = math.sqrt(2 / math.pi) * (math.sqrt(2) if math.isinf(memory) else 1)
        return (high - low) / 2, low <= size <= high

    yield from (("error of a student over a force", force), ("spread of its energies", spread))


def of_slope(profile: Profile, coefficient: float) -> Trial:
    """Slope of a total energy that has none."""
    n = frames(profile.nve_duration)
    time = np.arange(n) * _SPACING

    def trial(rng: np.random.Generator) -> tuple[float, bool]:
        low, high = fit_slope(time, autoregressive(rng, coefficient, n)).interval
        return (high - low) / 2, low <= 0 <= high

    return trial


def smooth(white: Array) -> Array:
    """Noise as radial distributions have it: alike in neighbouring bins, larger at peaks."""
    return np.asarray(uniform_filter1d(white, 5, axis=1) * math.sqrt(5) * _SCATTER)


def of_curves(profile: Profile, shape: Array, floors: float, memory: Memory) -> Trial:
    """Distance of radial distributions that differ by so many times the noise.

    Args:
        profile: For its sizes.
        shape: Of the difference, shape (n_bins,).
        floors: Distance in units of what noise alone gives.
        memory: Of three frames; far longer than a run, where what stays is 2.5 times as large as
            the noise of the mean otherwise; or of three frames, but for one mode of the whole
            curve that stays and has 40 % of the variance of the mean.
    """
    n, short = frames(profile.duration), math.exp(-1 / 3)
    stays = math.sqrt((1 + short) / (1 - short) / n)

    def replica(rng: np.random.Generator) -> Array:
        if memory == "far longer":
            white = rng.normal(size=(n, len(_R)))
            return smooth(white + stays * rng.normal(size=len(_R)))
        moving = smooth(autoregressive(rng, short, n, len(_R)))
        if memory == "of 3 frames":
            return moving
        return np.asarray(moving + math.sqrt(2 / 3) * stays * rng.normal() * _MODE)

    def arm(rng: np.random.Generator, mean: Array) -> list[Array]:
        return [mean + replica(rng) for _ in range(profile.n_replicas)]

    def distance(g: Array, target: Array) -> Array:
        return np.asarray(rdf_error(_R, g, target))

    rng = np.random.default_rng(0)
    alone = [
        distance(np.mean(arm(rng, _G), (0, 1)), np.mean(arm(rng, _G), (0, 1))) for _ in range(24)
    ]
    aim = floors * float(np.sqrt(np.mean(np.square(alone))))
    change = shape * aim / (float(distance(_G + 1e-3 * shape, _G)) / 1e-3)
    size = float(distance(_G + change, _G))

    def trial(rng: np.random.Generator) -> tuple[float, bool]:
        seed = int(rng.integers(2**31))
        shared = arm(rng, np.zeros_like(_G))
        ours, theirs = (
            [s + own for s, own in zip(shared, arm(rng, mean), strict=True)]
            for mean in (_G + change, _G)
        )
        found = compare_paired_curves(ours, theirs, distance, seed)
        low, high = found.interval
        return (high - low) / 2, low <= size <= high

    return trial


def of_labels(n_frames: int, spread: float) -> Trial:
    """Ratio of errors against labels, of frames whose errors differ by such a factor."""

    def trial(rng: np.random.Generator) -> tuple[float, bool]:
        theirs = np.exp(math.log(spread) * rng.normal(size=n_frames))
        ours = theirs * (1 + 0.05 * rng.normal(size=n_frames))
        _, interval = ratio_of_sums(ours, theirs)
        low, high = interval or (1.0, 1.0)
        return (high - low) / 2, low <= 1 <= high

    return trial


def measure(trial: Trial, n_trials: int) -> dict[str, Any]:
    """Coverage with its standard error, and the median of the half widths."""
    found = [trial(np.random.default_rng([k, 11])) for k in range(n_trials)]
    share = float(np.mean([covered for _, covered in found]))
    return {
        "coverage": share,
        "error": round(math.sqrt(share * (1 - share) / n_trials), 4),
        "half_width": float(f"{np.median([width for width, _ in found]):.3g}"),
        "trials": n_trials,
    }


def rows(profile: Profile, n_trials: int) -> Iterator[dict[str, Any]]:
    """Every interval of a profile."""
    for label, memory in _MEMORIES.items():
        for name, trial in (*of_means(profile, memory), *of_students(profile, memory)):
            yield {"interval": name, "case": f"memory: {label}", **measure(trial, n_trials)}
    for coefficient in _COEFFICIENTS:
        found = measure(of_slope(profile, coefficient), n_trials)
        yield {"interval": "energy drift", "case": f"AR(1) {coefficient:g}", **found}
    numbers = [n for n in _LABELLED if profile.n_labels is None or n <= profile.n_labels]
    for n_labels, spread in product(numbers, _SPREADS):
        case = f"{n_labels} frames, errors within a factor of {spread:g}"
        found = measure(of_labels(n_labels, spread), n_trials)
        yield {"interval": "ratio of errors", "case": case, **found}
    for (label, shape), floors, memory in product(_SHAPES.items(), (2.0, 4.0), get_args(Memory)):
        found = measure(of_curves(profile, shape, floors, memory), n_trials // 4)
        case = f"{label}, {floors:g} floors, memory {memory}"
        alone = " with one slow mode" if memory == "of one mode" else ""
        yield {"interval": f"distance of curves{alone}", "case": case, **found}


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000, help="per interval of a mean")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    found = []
    for profile in PROFILES.values():
        for row in rows(profile, options.trials):
            found.append({"profile": profile.name, **row})
            sys.stderr.write(f"{json.dumps(found[-1])}\n")
    document = {
        "command": f"python benchmarks/coverage.py --trials {options.trials}",
        "machine": machine(),
        "rows": found,
    }
    options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
