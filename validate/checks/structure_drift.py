"""Structure and motion of the exported file against the reference's, above the common noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from ase import Atoms

from m3compress.analysis.curves import Curve, Plot
from m3compress.analysis.observables.angles import angle_distribution
from m3compress.analysis.observables.distances import (
    adf_error,
    area_between,
    rdf_error,
    transport,
    vdos_error,
)
from m3compress.analysis.observables.pairs import (
    TOTAL,
    PairDistribution,
    coordination_number,
    first_minimum,
    first_peak,
    pair_distribution,
)
from m3compress.analysis.observables.spectra import vibrational_spectrum
from m3compress.analysis.statistics.arms import (
    Comparison,
    Distance,
    compare_paired_curves,
    compare_pairs,
)
from m3compress.analysis.statistics.noise import expected_band
from m3compress.contract.arrays import FloatArray
from m3compress.engines.dynamics.pool import Run
from m3compress.errors import M3CompressError
from m3compress.validate.checks.building import Check, on_samples
from m3compress.validate.checks.runs import (
    ARMS,
    LABELS,
    Arm,
    Runs,
    displacements,
    drift,
    times,
    unbroken,
)
from m3compress.validate.result import Measurement
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.recall import recall

Curves = dict[Arm, list[FloatArray]]


def _measured(found: Comparison, name: str, **evidence: object) -> Measurement:
    return drift(found, name, {"observed_with_noise": found.observed, **evidence})


def _nvt(runs: Runs) -> dict[Arm, tuple[Run, ...]]:
    """Replicas of both arms.

    Raises:
        M3CompressError: If one broke.
    """
    return {arm: unbroken(runs.nvt[arm]) for arm in ARMS}


def _pairs(context: Context, runs: Runs) -> dict[Arm, list[PairDistribution]]:
    """g(r) of every frame of every replica."""
    return recall(
        context,
        None,
        ("pairs", runs.sample.name),
        lambda: {
            arm: [pair_distribution(run.frames, context.profile.r_max) for run in replicas]
            for arm, replicas in _nvt(runs).items()
        },
    )


def _partials(found: dict[Arm, list[PairDistribution]]) -> list[str]:
    return [pair for pair in found["reference"][0].g if pair != TOTAL]


def _of_pair(found: dict[Arm, list[PairDistribution]], pair: str) -> Curves:
    return {arm: [replica.g[pair] for replica in found[arm]] for arm in ARMS}


def _rdf(context: Context, runs: Runs, pair: str) -> Measurement:
    found = _pairs(context, runs)
    r, curves = found["reference"][0].r, _of_pair(found, pair)
    compared = _between(context, curves, lambda g, target: rdf_error(r, g, target))
    means = {arm: np.concatenate(curves[arm]).mean(axis=0) for arm in ARMS}
    plot = Plot(f"rdf:{pair}", runs.sample.name, "r (Å)", "g(r)")
    return _measured(
        compared,
        f"{runs.sample.name} {pair}",
        L1_angstrom=float(area_between(r, means["candidate"], means["reference"])),
        wasserstein_angstrom=float(_pair_transport(r, means["candidate"], means["reference"])),
    ).model_copy(update={"curves": _band(plot, r, curves)})


def _between(context: Context, curves: Curves, distance: Distance) -> Comparison:
    """Distance of the mean curves of both arms, whose replicas share their random numbers."""
    return compare_paired_curves(curves["candidate"], curves["reference"], distance, context.seed)


def _pair_transport(r: FloatArray, g: FloatArray, reference: FloatArray) -> FloatArray:
    """Wasserstein distance of the distributions of pair distances in Å, shapes (..., n) → (...)."""
    return transport(r, g * r**2, reference * r**2)


def _band(plot: Plot, x: FloatArray, curves: Curves) -> tuple[Curve, ...]:
    """Mean curves of both arms; about the reference, where its like would lie bin by bin."""
    lines = []
    for arm in ARMS:
        replicas = np.array([replica.mean(axis=0) for replica in curves[arm]])
        mean = replicas.mean(axis=0)
        line = plot.line(LABELS[arm], x, mean)
        if arm == "reference" and len(replicas) > 1:
            low, high = (tuple(edge.tolist()) for edge in expected_band(replicas))
            line = line.model_copy(update={"low": low, "high": high})
        lines.append(line)
    return tuple(lines)


def _every_pair(
    measure: Callable[[Context, Runs, str], Measurement],
) -> Callable[[Context, Runs], Iterator[Measurement]]:
    def run(context: Context, runs: Runs) -> Iterator[Measurement]:
        for pair in _partials(_pairs(context, runs)):
            yield measure(context, runs, pair)

    return run


def _apart(
    distance: Callable[[FloatArray, FloatArray, FloatArray], FloatArray],
) -> Callable[[Context, Runs, str], Measurement]:
    """A distance of distribution functions, of ``(r, g, reference)``."""

    def measure(context: Context, runs: Runs, pair: str) -> Measurement:
        found = _pairs(context, runs)
        r, curves = found["reference"][0].r, _of_pair(found, pair)
        compared = _between(context, curves, lambda g, target: distance(r, g, target))
        return _measured(compared, f"{runs.sample.name} {pair}")

    return measure


def _coordination(context: Context, runs: Runs, pair: str) -> Measurement:
    found = _pairs(context, runs)
    r, curves = found["reference"][0].r, _of_pair(found, pair)
    reach = first_minimum(r, np.concatenate(curves["reference"]).mean(axis=0))
    density = found["reference"][0].density[pair.split("-")[1]]
    numbers = {
        arm: [coordination_number(r, replica, density, reach) for replica in curves[arm]]
        for arm in ARMS
    }
    mean = float(np.mean([n.mean() for n in numbers["reference"]]))
    name = f"{runs.sample.name} {pair}"
    if mean < 0.05:
        return Measurement(structure=name, skipped=f"no {pair} neighbours within {reach:.1f} Å")
    compared = compare_pairs(numbers["candidate"], numbers["reference"], mean / 100)
    return _measured(compared, name, reference=mean, within_angstrom=reach)


def _peak(context: Context, runs: Runs, pair: str) -> Measurement:
    found = _pairs(context, runs)
    r, curves = found["reference"][0].r, _of_pair(found, pair)
    name = f"{runs.sample.name} {pair}"
    places = {arm: [_peaks(r, replica) for replica in curves[arm]] for arm in ARMS}
    lost = {arm: not all(np.isfinite(p).all() for p in places[arm]) for arm in ARMS}
    if lost["reference"]:
        return Measurement(structure=name, skipped=f"no {pair} peak ends within r_max")
    if lost["candidate"]:
        raise M3CompressError(f"the {pair} peak of the reference is not there, or does not end")
    compared = compare_pairs(places["candidate"], places["reference"])
    mean = float(np.mean([p.mean() for p in places["reference"]]))
    return _measured(compared, name, reference_angstrom=mean)


def _peaks(r: FloatArray, g: FloatArray) -> FloatArray:
    """Position of the first peak over four stretches of a replica; NaN where there is none."""
    parts = [part.mean(axis=0) for part in np.array_split(g, min(4, len(g)))]
    return np.array([np.nan if (p := first_peak(r, part)) is None else p for part in parts])


def _angles(context: Context, runs: Runs) -> Measurement:
    frames: dict[Arm, list[tuple[FloatArray, FloatArray]]] = {
        arm: [angle_distribution(thinned(run.frames)) for run in replicas]
        for arm, replicas in _nvt(runs).items()
    }
    degrees = frames["reference"][0][0]
    curves: Curves = {arm: [density for _, density in frames[arm]] for arm in ARMS}
    name = runs.sample.name
    if not np.concatenate(curves["reference"]).any():
        return Measurement(structure=name, skipped="no atom has two bonds")

    compared = _between(context, curves, lambda p, target: adf_error(degrees, p, target))
    plot = Plot("adf:all", name, "angle (°)", "density (1/°)")
    return _measured(compared, name).model_copy(update={"curves": _band(plot, degrees, curves)})


def thinned(frames: Sequence[Atoms]) -> Sequence[Atoms]:
    """At most 200 frames: neighbouring ones tell the same."""
    return frames[:: max(1, len(frames) // 200)]


def _spectrum(context: Context, runs: Runs) -> Measurement:
    spectra: Curves = {arm: [_spectra(run) for run in of] for arm, of in _nvt(runs).items()}
    first = runs.nvt["reference"][0]
    frequencies = _stretch_spectrum(first, first.frames[: _stretch(first)])[0]
    name = runs.sample.name
    compared = _between(context, spectra, lambda p, target: vdos_error(frequencies, p, target))
    plot = Plot("vdos:all", name, "frequency (THz)", "density (1/THz)")
    lines = _band(plot, frequencies, spectra)
    return _measured(compared, name).model_copy(update={"curves": lines})


def _stretch(run: Run) -> int:
    """Frames of one of the four stretches of a replica whose spectra are averaged."""
    return max(8, len(run.frames) // 4)


def _spectra(run: Run) -> FloatArray:
    n = _stretch(run)
    starts = range(0, max(1, len(run.frames) - n + 1), n)
    return np.array([_stretch_spectrum(run, run.frames[s : s + n])[1] for s in starts])


def _stretch_spectrum(run: Run, frames: Sequence[Atoms]) -> tuple[FloatArray, FloatArray]:
    velocities = np.array([frame.get_velocities() for frame in frames])
    spacing = run.job.timestep * run.job.every
    return vibrational_spectrum(velocities, run.job.structure.get_masses(), spacing)


def _displacement(context: Context, runs: Runs) -> Measurement:
    del context
    lags: Curves = {arm: [displacements(run)[None] for run in of] for arm, of in _nvt(runs).items()}
    ends = {arm: [lag[0, -1:] for lag in lags[arm]] for arm in ARMS}
    scale = max(float(np.mean(ends["reference"])), 1e-12) / 100
    compared = compare_pairs(ends["candidate"], ends["reference"], scale)
    x = times(runs.nvt["reference"][0])[: lags["reference"][0].shape[1]]
    name = runs.sample.name
    lines = _band(Plot("msd:all", name, "time (ps)", "MSD (Å²)"), x - x[0], lags)
    return _measured(compared, name, reference_A2=scale * 100).model_copy(update={"curves": lines})


CHECKS: Final[tuple[Check, ...]] = (
    on_samples(
        "md.rdf",
        "drift of each partial radial distribution function beyond the noise",
        _every_pair(_rdf),
    ),
    on_samples(
        "md.rdf-total",
        "drift of the radial distribution function of all pairs beyond the noise",
        lambda context, runs: _rdf(context, runs, TOTAL),
    ),
    on_samples(
        "md.rdf-l1",
        "area between the partial distribution functions",
        _every_pair(_apart(area_between)),
    ),
    on_samples(
        "md.rdf-wasserstein",
        "how far pairs would have to be moved to turn one distribution into the other",
        _every_pair(_apart(_pair_transport)),
    ),
    on_samples("md.coordination", "change of the coordination numbers", _every_pair(_coordination)),
    on_samples("md.first-peak", "shift of the first peak of each pair", _every_pair(_peak)),
    on_samples("md.adf", "drift of the bond-angle distribution beyond the noise", _angles),
    on_samples("md.vdos", "drift of the vibrational spectrum beyond the noise", _spectrum),
    on_samples("md.msd", "change of the mean squared displacement", _displacement),
)
