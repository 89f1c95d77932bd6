"""Ensembles of a crystal of Morse pairs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from ase import units
from ase.build import bulk

from m3compress.analysis.statistics.arms import compare_pairs, mean_with_interval
from m3compress.engines.dynamics.integrate import end_of_segment, start
from m3compress.engines.dynamics.run import read_frames, run_job


def frames_of(job, root, subject):
    run_job(job, root, subject, lambda step: None)
    return read_frames(job.folder(root))


def totals(frames):
    return np.array([f.info["potential_energy"] + f.info["kinetic_energy"] for f in frames])


def kelvin(frames):
    return np.array([f.info["kinetic_energy"] for f in frames]) / (1.5 * units.kB * len(frames[0]))


def test_the_start_is_hot_and_at_rest(make_job):
    big = bulk("Cu", cubic=True).repeat(8)
    state = start(make_job(structure=big))
    assert np.abs(state.momenta.sum(axis=0)).max() < 1e-9
    kinetic = (state.momenta**2).sum() / (2 * big.get_masses()[0])
    assert kinetic / (1.5 * units.kB * len(big)) == pytest.approx(600, rel=0.05)
    assert np.array_equal(start(make_job(structure=big)).momenta, state.momenta)
    assert not np.array_equal(start(make_job(structure=big, seed=2)).momenta, state.momenta)


def test_segments_end_at_the_end_of_equilibration(make_job):
    job = make_job(equilibration=70, steps=500, every=1, structure=bulk("Cu") * (1, 1, 2))
    ends = [0]
    while ends[-1] < job.total_steps:
        ends.append(end_of_segment(job, ends[-1]))
    assert ends == [0, 70, 170, 270, 370, 470, 570]


def test_nve_conserves_energy_and_momentum_by_the_law_of_the_time_step(make_job, copper, tmp_path):
    scatter = []
    for factor in (1, 2):
        job = make_job(
            "nve", timestep=4.0 / factor, equilibration=0, steps=60 * factor, every=factor
        )
        frames = frames_of(job, tmp_path, copper())
        assert len(frames) == 60
        assert frames[-1].info["time_fs"] == pytest.approx(240)
        assert max(np.abs(f.get_momenta().sum(axis=0)).max() for f in frames) < 1e-6
        assert kelvin(frames).std() > 10  # it moves
        scatter.append(totals(frames).std())
    assert scatter[0] / 32 < 1e-3
    assert scatter[0] / scatter[1] == pytest.approx(4, rel=0.1)


def test_nve_after_equilibration_begins_without_momentum(make_job, copper, tmp_path):
    frames = frames_of(make_job("nve", steps=20), tmp_path, copper())
    assert np.abs(frames[0].get_momenta().sum(axis=0)).max() < 1e-6
    assert np.ptp(totals(frames)) / 32 < 1e-3


@pytest.mark.parametrize("heat", [1.0, 1.5])
def test_nvt_has_its_temperature(make_job, copper, tmp_path, heat):
    job = make_job(
        temperature=300 * heat, equilibration=150, steps=600, friction=0.05, timestep=4.0
    )
    frames = frames_of(job, tmp_path, copper())
    assert kelvin(frames).mean() == pytest.approx(300 * heat, rel=0.07)
    # All 3N momenta are thermal, the centre of mass too.
    assert max(np.abs(f.get_momenta().sum(axis=0)).max() for f in frames) > 0.1


@pytest.mark.parametrize("pressure", [0.0, 10.0])
def test_npt_has_its_pressure_and_a_sane_cell(make_job, copper, tmp_path, pressure):
    job = make_job("npt", pressure=pressure, equilibration=50, steps=1000, timestep=4.0, every=10)
    frames = frames_of(job, tmp_path, copper())
    volumes = np.array([f.get_volume() for f in frames])
    assert (volumes > 0).all()
    assert np.ptp(volumes) > 0
    # The barostat is isotropic.
    shapes = np.array([np.array(f.cell) / f.get_volume() ** (1 / 3) for f in frames])
    np.testing.assert_allclose(shapes, np.broadcast_to(shapes[0], shapes.shape), atol=1e-9)
    found = []
    for frame in frames[30:]:
        virial = copper().evaluate(frame).virial
        kinetic = 2 * frame.info["kinetic_energy"]
        found.append((kinetic - np.trace(virial)) / 3 / frame.get_volume() / units.GPa)
    assert np.mean(found) == pytest.approx(pressure, abs=0.5)
    assert kelvin(frames)[20:].mean() == pytest.approx(300, rel=0.25)


def test_a_volume_that_is_one_percent_off_shows_within_the_time_of_ci(make_job, copper, tmp_path):
    pressure = 0.01 * 68.0 * units.GPa  # the bulk modulus is some 68 GPa

    def swell(number, result):
        return {"virial": result.virial - pressure * volumes[-1] * np.eye(3)}

    class Swollen(copper):
        def evaluate(self, atoms):
            volumes.append(atoms.get_volume())
            return super().evaluate(atoms)

    volumes: list[float] = []
    job = make_job("npt", equilibration=50, steps=600, timestep=4.0, every=5)
    subjects = {"right": copper(), "swollen": Swollen(swell)}
    found = {
        name: [
            np.array([f.get_volume() for f in frames_of(one, tmp_path / name, subject)[40:]])
            for one in (replace(job, seed=seed) for seed in (1, 2, 3))
        ]
        for name, subject in subjects.items()
    }
    scale = np.mean(found["right"]) / 100
    pairs = compare_pairs(found["swollen"], found["right"], scale)
    alone = [mean_with_interval(replicas) for replicas in found.values()]
    apart = math.hypot(*((high - low) / scale for _, low, high in alone))
    assert pairs.value == pytest.approx(1.0, abs=0.3)
    assert pairs.interval[0] > 0.5  # %, the limit of ci
    assert np.diff(pairs.interval) < apart / 3


@pytest.mark.parametrize("ensemble", ["nve", "nvt", "npt"])
def test_a_frame_holds_the_energies_of_its_own_positions(make_job, copper, tmp_path, ensemble):
    frames = frames_of(make_job(ensemble, steps=20), tmp_path, copper())
    for frame in (frames[0], frames[-1]):
        assert frame.info["potential_energy"] == pytest.approx(
            copper().evaluate(frame).energy, abs=1e-5
        )
        assert frame.info["kinetic_energy"] == pytest.approx(frame.get_kinetic_energy(), rel=1e-5)
