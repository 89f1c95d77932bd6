"""Temperature, kinetic energies and volume: is it the ensemble that was asked for?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from ase import Atoms, units

from m3compress.analysis.curves import Plot
from m3compress.analysis.statistics.arms import compare_pairs
from m3compress.analysis.statistics.slopes import quiet_pymbar
from m3compress.engines.dynamics.pool import Run
from m3compress.validate.checks.building import Check, on_samples
from m3compress.validate.checks.runs import (
    ARMS,
    LABELS,
    Runs,
    drift,
    temperatures,
    times,
    unbroken,
)
from m3compress.validate.result import Measurement
from m3compress.validate.setup.context import Context


def _temperature(context: Context, runs: Runs) -> Measurement:
    """Whether the file's runs were as hot as the reference's.

    Both are thermostatted alike and driven by the same random numbers: what is left is what the
    file heats. The thermostat takes that away within 1/friction, 20 to 100 fs, so that only strong
    heating is seen here.
    """
    target = context.profile.temperature
    found = {arm: [temperatures(run) for run in unbroken(runs.nvt[arm])] for arm in ARMS}
    compared = compare_pairs(found["candidate"], found["reference"], target / 100)
    means = {arm: float(np.mean(np.concatenate(found[arm]))) for arm in ARMS}
    return drift(compared, runs.sample.name, {"mean_K": means, "target_K": target})


def _kinetic_energy(context: Context, runs: Runs) -> Measurement:
    """Whether the kinetic energy scatters as in the ensemble, as far as the reference's does.

    What thermostat, time step and few frames do to the width, they do to both arms, which are
    driven by the same random numbers: what counts is the excess. The mean is the temperature's.
    """
    off = {arm: _width_off(context, runs.sample.atoms, unbroken(runs.nvt[arm])) for arm in ARMS}
    return Measurement(
        structure=runs.sample.name,
        value=max(0.0, off["candidate"] - off["reference"]),
        evidence={"off_by_sigma": off},
    )


def _width_off(context: Context, structure: Atoms, replicas: Sequence[Run]) -> float:
    """How far the width of the kinetic energies is from the ensemble, in standard errors."""
    quiet_pymbar()
    import physical_validation as pv

    kinetic = np.concatenate([[f.info["kinetic_energy"] for f in run.frames] for run in replicas])
    data = pv.data.SimulationData(
        units=pv.data.UnitData(
            kb=units.kB,
            energy_str="eV",
            energy_conversion=units.mol / units.kJ,
            length_str="A",
            length_conversion=0.1,
            volume_str="A^3",
            volume_conversion=1e-3,
            temperature_str="K",
            temperature_conversion=1,
            pressure_str="eV/A^3",
            pressure_conversion=1 / units.bar,
            time_str="ps",
            time_conversion=1,
        ),
        ensemble=pv.data.EnsembleData(
            "NVT",
            natoms=len(structure),
            volume=structure.get_volume(),
            temperature=context.profile.temperature,
        ),
        # The thermostat moves the centre of mass, too: no degree of freedom is missing.
        system=pv.data.SystemData(
            natoms=len(structure),
            nconstraints=0,
            ndof_reduction_tra=0,
            ndof_reduction_rot=0,
            mass=structure.get_masses(),
        ),
        observables=pv.data.ObservableData(kinetic_energy=kinetic),
    )
    off = pv.kinetic_energy.distribution(
        data, strict=False, verbosity=0, bs_repetitions=200, bootstrap_seed=context.seed
    )
    return abs(float(off[1]))


def _volume(context: Context, runs: Runs) -> Measurement:
    name = runs.sample.name
    if not context.profile.npt_duration:
        return Measurement(structure=name, skipped=f"profile {context.profile.name} has no NPT run")
    volumes = {
        arm: [np.array([frame.get_volume() for frame in run.frames]) for run in unbroken(of_arm)]
        for arm, of_arm in runs.npt.items()
    }
    # The barostat starts from the given cell: the first third is on the way to the right one, of
    # both arms alike, which are driven by the same random numbers.
    sampled = {arm: [v[len(v) // 3 :] for v in values] for arm, values in volumes.items()}
    scale = float(np.mean([v.mean() for v in sampled["reference"]])) / 100
    found = compare_pairs(sampled["candidate"], sampled["reference"], scale)
    plot = Plot("npt:volume", name, "time (ps)", "volume (Å³)")
    means = {f"{arm}_A3": [float(v.mean()) for v in sampled[arm]] for arm in ARMS}
    lines = tuple(plot.line(LABELS[arm], times(runs.npt[arm][0]), volumes[arm][0]) for arm in ARMS)
    return drift(found, name, means, needs="ps of NPT").model_copy(update={"curves": lines})


CHECKS: Final[tuple[Check, ...]] = (
    on_samples(
        "md.temperature",
        "mean temperature of the thermostatted runs, artefact against reference with the same "
        "random numbers; a model that heats little shows in md.nve-drift",
        _temperature,
    ),
    on_samples(
        "md.kinetic-energy",
        "width of the distribution of the kinetic energy: how much further from that of the "
        "ensemble than in runs of the reference with the same random numbers",
        _kinetic_energy,
    ),
    on_samples(
        "md.npt-volume",
        "mean volume at constant pressure, artefact against reference with the same random numbers",
        _volume,
    ),
)
