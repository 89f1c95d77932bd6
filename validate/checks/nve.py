"""Energy conservation of the exported file: drift, momentum, and the law of the time step."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from ase import units

from m3compress.analysis.curves import Plot
from m3compress.analysis.statistics.slopes import fit_slope
from m3compress.engines.dynamics.pool import Run
from m3compress.units import MEV_PER_EV
from m3compress.validate.checks.building import Check, on_samples
from m3compress.validate.checks.runs import Runs, times, total_energies, unbroken
from m3compress.validate.rerun import command_of
from m3compress.validate.result import Measurement
from m3compress.validate.setup.context import Context

#: Up to this the fluctuation of the energy may be that of float32 sums, in meV/atom.
_ROUNDING = 2e-3


def _drift(context: Context, runs: Runs) -> Measurement:
    del context
    run, name = runs.nve, runs.sample.name
    if run.broken:
        return Measurement(
            structure=name, error=f"the run broke: {run.broken}", command=command_of(run)
        )
    t, energy = times(run), total_energies(run) / len(run.job.structure) * MEV_PER_EV
    fit = fit_slope(t, energy)
    ends = (abs(fit.interval[0]), abs(fit.interval[1]))
    straddles = fit.interval[0] < 0 < fit.interval[1]
    plot = Plot("nve:total energy", name, "time (ps)", "E − ⟨E⟩ (meV/atom)")
    return Measurement(
        structure=name,
        value=abs(fit.slope),
        interval=(0.0 if straddles else min(ends), max(ends)),
        floor=fit.error,
        power=fit.interval[1] - fit.interval[0],
        evidence={
            "slope": fit.slope,
            "duration_ps": float(t[-1]),
            "timestep_fs": run.job.timestep,
            "fluctuation_meV_per_atom": fit.residual,
            "largest_excursion_meV_per_atom": fit.excursion,
            "discarded_frames": fit.discarded,
            "drift_over_fluctuation": abs(fit.slope) * float(t[-1]) / max(fit.residual, 1e-12),
        },
        needs="ps of NVE",
        curves=(plot.line("artefact", t, energy - energy.mean()),),
        command=command_of(run),
    )


def _momentum(context: Context, runs: Runs) -> Measurement:
    (run,) = unbroken((runs.nve,))
    masses = run.job.structure.get_masses()
    net = np.array([np.linalg.norm(f.get_momenta().sum(axis=0)) for f in run.frames])
    thermal = float(np.sqrt(3 * masses.sum() * units.kB * context.profile.temperature))
    return Measurement(
        structure=runs.sample.name,
        value=float(net.max()) / thermal,
        evidence={"at_the_end": float(net[-1]) / thermal},
        command=command_of(run),
    )


def _law(context: Context, runs: Runs) -> Measurement:
    del context
    name = runs.sample.name
    fluctuations = [_fluctuation(run) for run in unbroken(runs.law)]
    steps = [run.job.timestep for run in runs.law]
    usable = [i for i, value in enumerate(fluctuations) if value > _ROUNDING]
    ratios = {
        f"{steps[i]:g} → {steps[j]:g} fs": (fluctuations[i] / fluctuations[j])
        / (steps[i] / steps[j]) ** 2
        for i, j in pairwise(usable)
    }
    evidence = {
        "fluctuation_meV_per_atom": dict(zip(map(str, steps), fluctuations, strict=True)),
        "ratio_over_dt2": ratios,
        "rounding_meV_per_atom": _ROUNDING,
    }
    if not ratios:
        return Measurement(
            structure=name,
            skipped="the fluctuation is that of float32 rounding at all time steps",
            evidence=evidence,
        )
    return Measurement(
        structure=name,
        value=max(abs(1 - ratio) for ratio in ratios.values()),
        evidence=evidence,
    )


def _fluctuation(run: Run) -> float:
    """Root mean square of the total energy about a line, in meV/atom."""
    t, energy = times(run), total_energies(run)
    line = np.polynomial.Polynomial.fit(t, energy, 1)
    rest = energy - line(t)
    n_atoms = len(run.job.structure)
    return float(np.sqrt((rest**2).mean())) / n_atoms * MEV_PER_EV


CHECKS: Final[tuple[Check, ...]] = (
    on_samples(
        "md.nve-drift",
        "slope of the total energy at constant volume and energy, after equilibration",
        _drift,
    ),
    on_samples(
        "md.momentum",
        "largest net momentum in a run that began with none, over the thermal one",
        _momentum,
    ),
    on_samples(
        "md.nve-dt2",
        "departure of the energy fluctuation from the square of the time step",
        _law,
    ),
)
