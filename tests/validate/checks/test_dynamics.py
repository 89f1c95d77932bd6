"""Every check of the dynamics, on trajectories made up to be right or wrong in one way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms, units
from oscillators import (
    CARBIDE,
    KELVIN,
    N_FRAMES,
    SPACING,
    Change,
    Frames,
    breathing,
    conserved,
    lawful,
    rounded,
    trajectory,
)

from m3compress.engines.dynamics.job import Job
from m3compress.engines.dynamics.pool import Run
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.dynamics import CHECKS
from m3compress.validate.checks.runs import Runs
from m3compress.validate.result import Measurement, Verdict, judge
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.limits import read_limits
from m3compress.validate.setup.profiles import CI
from m3compress.validate.setup.recall import recall
from m3compress.validate.setup.subject import TrainedSpec

N_REPLICAS = 4
SPECS = {arm: TrainedSpec(path="nowhere", name=arm) for arm in ("candidate", "reference")}
#: Those of CI, and numbers for what only informs.
LIMITS = read_limits("ci", single=["md.rdf-l1=0.1", "md.rdf-wasserstein=0.01", "md.msd=20"])


@dataclass
class Spoiled:
    """What is wrong with the candidate, by kind of run."""

    nvt: Change | None = None
    npt: Change | None = None
    nve: Change | None = None
    law: Callable[[int, Frames], Frames] | None = None
    thz: float = 15.0
    structure: Atoms | None = None
    forgotten: bool = False  # that both arms were driven by the same random numbers
    broken: tuple[str, ...] = ()


def job_of(name: str, arm: str, ensemble: Any, timestep: float = 2.0) -> Job:
    return Job(
        name=name,
        evaluator=SPECS[arm],
        structure=CARBIDE,
        ensemble=ensemble,
        temperature=KELVIN,
        timestep=timestep,
        equilibration=0,
        steps=round(N_FRAMES * SPACING / timestep),
        every=round(SPACING / timestep),
        seed=0,
    )


def make_runs(spoiled: Spoiled) -> Runs:
    def run(name: str, arm: str, ensemble: str, frames: Frames, timestep: float = 2.0) -> Run:
        reason = "after step 7: it exploded: 99999 K" if name in spoiled.broken else None
        job = job_of(name, arm, ensemble, timestep)
        return Run(job, Path("md") / name, [] if reason else frames, reason)

    def arm_of(arm: str, ensemble: str, n: int, seed: int) -> tuple[Run, ...]:
        bad = arm == "candidate"
        seed += 50 * (bad and spoiled.forgotten)
        structure = (spoiled.structure if bad else None) or CARBIDE
        change = getattr(spoiled, ensemble) if bad else None
        found = []
        for i in range(n):
            frames = trajectory(structure, seed + i, spoiled.thz if bad else 15.0)
            frames = breathing(frames, seed + i) if ensemble == "npt" else frames
            frames = change(frames) if change else frames
            frames = rounded(frames, seed + i) if bad else frames
            found.append(run(f"{arm}-{ensemble}-{i}", arm, ensemble, frames))
        return tuple(found)

    nve = conserved(trajectory(CARBIDE, 900), 900)
    law = [lawful(i, factor) for i, factor in enumerate(CI.law_factors)]
    law = [spoiled.law(i, frames) if spoiled.law else frames for i, frames in enumerate(law)]
    made = {(arm, "nvt"): arm_of(arm, "nvt", N_REPLICAS, 100) for arm in SPECS}
    made |= {(arm, "npt"): arm_of(arm, "npt", 2, 300) for arm in SPECS}
    made["candidate", "nve"] = (
        run("nve", "candidate", "nve", spoiled.nve(nve) if spoiled.nve else nve, 1.0),
        *(
            run(f"law-{i}", "candidate", "nve", frames, 2.0 * factor)
            for i, (factor, frames) in enumerate(zip(CI.law_factors, law, strict=True))
        ),
    )
    return Runs(Named("SiC", CARBIDE), lambda arm, ensemble: made.get((arm, ensemble), ()))


def gate_with(spoiled: Spoiled | None = None, **fields: Any) -> Context:
    given: dict[str, Any] = {
        **SPECS,
        "twin": None,
        "profile": CI,
        **dict.fromkeys(("zoo", "crystals"), ()),
        "samples": (Named("SiC", CARBIDE),),
        **dict.fromkeys(("workplace", "trajectories"), Path("nowhere")),
        **fields,
    }
    context = Context(**given)
    if spoiled is not None:
        recall(context, None, ("runs",), lambda: (make_runs(spoiled),))
    return context


def measure(name: str, context: Context) -> list[Measurement]:
    (check,) = (check for check in CHECKS if check.id == f"md.{name}")
    return list(check.run(context, None))  # type: ignore[arg-type]


def verdicts(name: str, context: Context) -> set[Verdict]:
    return {judge(one, LIMITS[f"md.{name}"]) for one in measure(name, context)}


NAMES = [check.id.removeprefix("md.") for check in CHECKS]


@pytest.fixture(scope="module")
def good() -> Callable[[str], list[Measurement]]:
    """What a check measures on two arms of the same dynamics."""
    context = gate_with(Spoiled())
    return cache(lambda name: measure(name, context))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_dynamics_pass(good, name):
    found = good(name)
    assert {judge(one, LIMITS[f"md.{name}"]) for one in found} == {Verdict.PASS}, found
    assert len(found) == (3 if name in PAIRWISE else 1)
    for one in found:
        assert one.interval is None or one.interval[0] <= (one.value or 0) <= one.interval[1]


def test_runs_of_one_noise_see_what_independent_ones_cannot(good):
    # A hundredth of what the noise of two independent arms is.
    slightly = Spoiled(structure=strained(1e-4 * np.eye(3)))
    apart = replace(slightly, forgotten=True)
    for name in ("rdf-total", "rdf-wasserstein", "first-peak"):
        paired, single = (measure(name, gate_with(one))[0] for one in (slightly, apart))
        assert (good(name)[0].power or 0) < (single.power or 0) / 20
        assert paired.interval is not None
        assert single.interval is not None
        assert paired.interval[0] > 0
        assert single.interval[0] == 0


@pytest.mark.parametrize("name", NAMES)
def test_runs_that_forgot_their_common_noise_are_no_drift(name):
    assert Verdict.FAIL not in verdicts(name, gate_with(Spoiled(forgotten=True)))


PAIRWISE = {"rdf", "rdf-l1", "rdf-wasserstein", "coordination", "first-peak"}


def drifting(frames: Frames) -> Frames:
    for frame in frames:
        frame.info["potential_energy"] += 2e-3 * len(frame) * frame.info["time_fs"] * 1e-3
    return frames


def pushed(frames: Frames) -> Frames:
    for frame in frames:
        frame.set_momenta(frame.get_momenta() + 0.01)
    return frames


def hot(frames: Frames) -> Frames:
    for frame in frames:
        frame.info["kinetic_energy"] *= 1.15
    return frames


def narrow(frames: Frames) -> Frames:
    mean = 1.5 * units.kB * KELVIN * len(frames[0])
    for frame in frames:
        frame.info["kinetic_energy"] = mean + 0.5 * (frame.info["kinetic_energy"] - mean)
    return frames


def swollen(frames: Frames) -> Frames:
    for frame in frames:
        frame.set_cell(frame.cell * 1.05 ** (1 / 3), scale_atoms=True)
    return frames


def flowing(frames: Frames) -> Frames:
    for i, frame in enumerate(frames):
        frame.positions[::2, 0] += 0.01 * i
        frame.positions[1::2, 0] -= 0.01 * i
    return frames


def torn(frames: Frames) -> Frames:
    for frame in frames:
        frame.positions[1::16] += [1.1, 1.1, 1.1]  # every eighth of the carbon atoms
    return frames


def strained(strain: np.ndarray) -> Atoms:
    atoms = CARBIDE.copy()
    atoms.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
    return atoms


def by_first_order(index: int, frames: Frames) -> Frames:
    """Energy that fluctuates as dt."""
    for frame in frames:
        total = frame.info["potential_energy"] + frame.info["kinetic_energy"]
        frame.info["potential_energy"] += total * (1 / CI.law_factors[index] - 1)
    return frames


LONGER = Spoiled(structure=strained(0.03 * np.eye(3)))
BENT = Spoiled(structure=strained(np.array([[0, 0.08, 0], [0.08, 0, 0], [0, 0, 0]])))


@pytest.mark.parametrize(
    ("name", "spoiled"),
    [
        ("nve-drift", Spoiled(nve=drifting)),
        ("momentum", Spoiled(nve=pushed)),
        ("nve-dt2", Spoiled(law=by_first_order)),
        ("temperature", Spoiled(nvt=hot)),
        ("kinetic-energy", Spoiled(nvt=narrow)),
        ("npt-volume", Spoiled(npt=swollen)),
        *((name, LONGER) for name in ("rdf", "rdf-total", "rdf-l1", "rdf-wasserstein")),
        ("first-peak", LONGER),
        ("coordination", Spoiled(nvt=torn)),
        ("adf", BENT),
        ("vdos", Spoiled(thz=20.0)),
        ("msd", Spoiled(nvt=flowing)),
        ("stability", Spoiled(broken=("candidate-nvt-1",))),
    ],
)
def test_wrong_dynamics_fail(name, spoiled):
    assert Verdict.FAIL in verdicts(name, gate_with(spoiled))


def test_what_is_measured_is_the_size_of_what_is_wrong():
    def value(name, spoiled):
        return measure(name, gate_with(spoiled))[0].value

    assert value("nve-drift", Spoiled(nve=drifting)) == pytest.approx(2.0, rel=0.05)
    assert value("temperature", Spoiled(nvt=hot)) == pytest.approx(15, abs=1.5)
    assert value("npt-volume", Spoiled(npt=swollen)) == pytest.approx(5, abs=0.3)
    assert value("nve-dt2", Spoiled(law=by_first_order)) == pytest.approx(0.5, abs=0.01)
    bond = 4.36 * np.sqrt(3) / 4
    peaks = {one.structure: one for one in measure("first-peak", gate_with(LONGER))}
    assert peaks["SiC C-Si"].value == pytest.approx(0.03 * bond, abs=0.005)
    assert peaks["SiC C-Si"].evidence["reference_angstrom"] == pytest.approx(bond, abs=0.01)
    moved = {one.structure: one for one in measure("rdf-wasserstein", gate_with(LONGER))}
    assert moved["SiC C-Si"].value is not None
    masses = CARBIDE.get_masses()
    net = 0.01 * np.sqrt(3) * len(masses) / np.sqrt(3 * masses.sum() * units.kB * KELVIN)
    assert value("momentum", Spoiled(nve=pushed)) == pytest.approx(net, rel=1e-6)


def test_a_wrong_ensemble_is_told_from_a_wrong_structure():
    # Narrow kinetic energies have the right mean; a bent crystal has the right temperature.
    assert verdicts("temperature", gate_with(Spoiled(nvt=narrow))) == {Verdict.PASS}
    assert verdicts("temperature", gate_with(BENT)) == {Verdict.PASS}
    assert verdicts("rdf", gate_with(Spoiled(nvt=hot))) == {Verdict.PASS}
    assert verdicts("nve-drift", gate_with(Spoiled(nve=pushed))) == {Verdict.PASS}


@pytest.mark.parametrize("arm", ["candidate", "reference"])
def test_a_broken_run_is_an_error_of_what_needs_it(arm):
    context = gate_with(Spoiled(broken=(f"{arm}-nvt-2",)))
    needing = set(NAMES) - {"stability", "nve-drift", "momentum", "nve-dt2", "npt-volume"}
    for name in NAMES:
        if name in needing:
            (found,) = measure(name, context)
            assert judge(found, LIMITS[f"md.{name}"]) is Verdict.ERROR
            assert f"{arm}-nvt-2: after step 7: it exploded" in (found.error or "")
        elif name != "stability":
            assert verdicts(name, context) == {Verdict.PASS}
    (stability,) = measure("stability", context)
    if arm == "candidate":
        assert stability.value == 1
        assert "candidate-nvt-2" in stability.evidence["broken"]
        assert "python -m m3compress.validate.rerun" in (stability.command or "")
    else:
        # The reference decides nothing, but it is told.
        assert stability.value == 0
        assert "reference-nvt-2" in stability.evidence["reference_broken"]


@pytest.mark.parametrize(
    ("run", "names"),
    [
        ("nve", ("nve-drift", "momentum")),
        ("law-1", ("nve-dt2",)),
        ("candidate-npt-0", ("npt-volume",)),
        ("reference-npt-1", ("npt-volume",)),
    ],
)
def test_other_broken_runs_are_errors_of_their_checks_alone(run, names):
    context = gate_with(Spoiled(broken=(run,)))
    for name in names:
        assert verdicts(name, context) == {Verdict.ERROR}
    assert verdicts("rdf", context) == {Verdict.PASS}


def test_what_does_not_exist_is_skipped():
    without = gate_with(Spoiled(), profile=replace(CI, npt_duration=0.0))
    assert verdicts("npt-volume", without) == {Verdict.SKIPPED}

    def still(index: int, frames: Frames) -> Frames:
        for frame in frames:
            frame.info["potential_energy"] = -frame.info["kinetic_energy"]
        return frames

    assert verdicts("nve-dt2", gate_with(Spoiled(law=still))) == {Verdict.SKIPPED}


def test_a_structure_that_cannot_be_measured_does_not_stop_the_next():
    runs = make_runs(Spoiled())
    frameless = replace(runs.nve, frames=[])
    empty = Runs(Named("empty", CARBIDE), lambda arm, ensemble: (frameless,))
    context = gate_with()
    recall(context, None, ("runs",), lambda: (empty, runs))
    first, second = measure("nve-drift", context)
    assert (first.structure, second.structure) == ("empty", "SiC")
    assert "20 finite points" in (first.error or "")
    assert judge(second, LIMITS["md.nve-drift"]) is Verdict.PASS


def test_curves_are_there_to_be_plotted(good):
    figures = {
        curve.figure: curve
        for name in ("nve-drift", "npt-volume", "rdf", "rdf-total", "adf", "vdos", "msd")
        for one in good(name)
        for curve in one.curves
    }
    expected = {"nve:total energy", "npt:volume", "adf:all", "vdos:all", "msd:all"}
    expected |= {"rdf:C-C", "rdf:C-Si", "rdf:Si-Si", "rdf:total"}
    assert set(figures) == expected
    for curve in figures.values():
        assert len(curve.x) == len(curve.y) > 10
        assert len(curve.low) in (0, len(curve.x))
    # The spectrum has its peak where the oscillators have it.
    spectrum = figures["vdos:all"]
    assert spectrum.x[int(np.argmax(spectrum.y))] == pytest.approx(15, abs=3)
    msd = figures["msd:all"]
    assert msd.x[1] - msd.x[0] == pytest.approx(SPACING * 1e-3)
