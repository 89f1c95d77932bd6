"""A student that is wrong in one way, on its teacher's trajectories or on its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from m3compress.contract.neighbors import check_structure
from m3compress.contract.teacher import Teacher
from m3compress.engines.dynamics.job import Job
from m3compress.engines.dynamics.loaded import Loaded
from m3compress.engines.dynamics.pool import Run
from m3compress.models.structures.crystals import build_crystal
from m3compress.models.structures.frames import Named
from m3compress.models.student_record import Domain, StudentRecord
from m3compress.validate.checks import students, walls
from m3compress.validate.checks.runs import Runs
from m3compress.validate.result import Verdict, judge
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.limits import read_limits
from m3compress.validate.setup.recall import recall

LIMIT = read_limits("smoke")["student.diffusion"]
QUARTZ = build_crystal("SiO2-quartz").repeat((2, 1, 1))
FRAMES = [name for name in (c.id for c in students.CHECKS) if "force" in name or "energy" in name]
FRAMES += ["student.stress", "student.own-stress", "student.worst-frame"]
#: No two silicon atoms of a rattled quartz are that close (Å).
SPURIOUS = 1.9


def moving(name: str, seed: int, *, ends: float = 0.0, flow: float = 0.0) -> Run:
    """Thirty rattled frames; at the end two Si atoms come together, or oxygen flows (Å/frame)."""
    rng = np.random.default_rng(seed)
    frames = []
    for i in range(30):
        atoms = QUARTZ.copy()
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        oxygen = np.flatnonzero(atoms.numbers == 8)
        atoms.positions[oxygen[::2]] += flow * i
        atoms.positions[oxygen[1::2]] -= flow * i
        if ends and i > 20:
            atoms.set_distance(0, 1, ends, fix=0, mic=True)
        atoms.info["time_fs"] = 10.0 * (i + 1)
        frames.append(atoms)
    job = Job(
        name=name,
        evaluator=Loaded(evaluator=None, content=name),  # type: ignore[arg-type]
        structure=QUARTZ,
        ensemble="nvt",
        temperature=900.0,
        timestep=2.0,
        equilibration=0,
        steps=150,
        every=5,
        seed=seed,
    )
    return Run(job, Path("md") / name, frames, None)


def runs_with(**own: Any) -> Runs:
    nvt = {
        "reference": tuple(moving(f"reference-{i}", i) for i in range(3)),
        "candidate": tuple(moving(f"candidate-{i}", 10 + i, **own) for i in range(3)),
    }
    return of_nvt(nvt)


def of_nvt(nvt: Mapping[str, tuple[Run, ...]]) -> Runs:
    return Runs(Named("quartz", QUARTZ), lambda arm, ensemble: nvt[arm] * (ensemble == "nvt"))


Gate = Callable[..., Context]


@pytest.fixture
def gate(make_context: Callable[..., Context], opened_spec: Any, pair_subject: Any) -> Gate:
    """``gate(student, teacher, runs)``: the pair potential is what is not given."""

    def make(student: Any = None, teacher: Any = None, runs: Runs | None = None, **f: Any):
        evaluator = teacher or pair_subject
        context = make_context(
            opened_spec(student or pair_subject),
            opened_spec(student or pair_subject),
            zoo=(),
            teacher=Teacher(
                name="pairs",
                spec=Loaded(evaluator=evaluator, content="pairs"),
                sha256="ab",
                precision="float64",
                cutoff=5.0,
                has_atom_energies=True,
            ),
            student=StudentRecord(
                teacher={}, data={}, recipe={}, errors={}, domain=Domain.of([QUARTZ], [900.0], 5.0)
            ),
            **f,
        )
        recall(context, None, ("runs",), lambda: (runs or runs_with(),))
        return context

    return make


@pytest.fixture
def failed(run_check: Any) -> Callable[[Context], set[str]]:
    """Names of the checks on frames that do not pass."""

    def find(context: Context) -> set[str]:
        found = {
            name: run_check(students.CHECKS, name, context, context.candidate_subject)[0]
            for name in FRAMES
        }
        return {name.removeprefix("student.") for name, how in found.items() if how != "pass"}

    return find


def test_a_student_like_its_teacher_passes(gate, failed, run_check):
    context = gate()
    assert len(FRAMES) == 9
    assert failed(context) == set()
    found = run_check(students.CHECKS, "student.force", context, None)[1]
    assert found.evidence["n_frames"] == 30
    assert found.evidence["temperature_K"] == 900.0


def jump(atoms: Atoms) -> float:
    """± 10 meV/atom, as an atom stands on this side of its place or on that."""
    return float(np.sign(atoms.positions[0, 0] - QUARTZ.positions[0, 0]) * 0.01 * len(atoms))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda a, e: {"forces": 1.2 * e.forces}, {"force", "own-force"}),
        (
            lambda a, e: {"energy": e.energy - 0.005 * len(a)},
            {"energy-offset", "own-energy-offset"},
        ),
        (
            lambda a, e: {"energy": e.energy + jump(a)},
            {"energy-spread", "own-energy-spread"},
        ),
        (
            lambda a, e: {"virial": e.virial + 0.01 * a.get_volume() * np.eye(3)},
            {"stress", "own-stress"},
        ),
    ],
)
def test_each_error_is_seen_by_its_check_alone(change, names, changed, gate, failed):
    seen = failed(gate(changed(change)))
    # An energy that jumps has an uncertain mean as well.
    assert names <= seen <= names | {name.replace("spread", "offset") for name in names}


def spurious(atoms: Atoms, result: Any) -> dict[str, Any]:
    """Wrong forces where no teacher's trajectory goes."""
    near = atoms.get_distance(0, 1, mic=True) < SPURIOUS
    return {"forces": result.forces + 3.0 * near}


def test_a_spurious_state_shows_on_its_own_trajectories_alone(changed, gate, failed, run_check):
    context = gate(changed(spurious), runs=runs_with(ends=1.6))
    assert failed(context) == {"own-force", "worst-frame"}
    found = run_check(students.CHECKS, "student.worst-frame", context, None)[1]
    assert found.evidence["time_ps"] > 0.2
    assert found.evidence["run"].startswith("candidate")
    assert "m3compress.validate.rerun" in found.command


def test_errors_are_of_the_size_that_was_made(changed, gate, run_check):
    context = gate(changed(lambda a, e: {"forces": 1.05 * e.forces, "energy": e.energy + 0.018}))
    force = run_check(students.CHECKS, "student.force", context, None)[1]
    assert force.value == pytest.approx(5.0, rel=1e-6)
    assert force.evidence["mae_meV_per_A"] == pytest.approx(
        0.05 * force.evidence["mean_force_meV_per_A"]
    )
    offset = run_check(students.CHECKS, "student.energy-offset", context, None)[1]
    assert offset.value == pytest.approx(1.0, rel=1e-6)  # 18 atoms


def test_a_teacher_with_nothing_to_say_of_a_frame_is_an_error_that_names_it(
    changed, gate, run_check
):
    teacher = changed(
        lambda a, e: {"energy": np.nan} if a.get_distance(0, 1, mic=True) < SPURIOUS else {}
    )
    context = gate(teacher=teacher, runs=runs_with(ends=1.6))
    assert run_check(students.CHECKS, "student.force", context, None)[0] is Verdict.PASS
    verdict, found = run_check(students.CHECKS, "student.own-force", context, None)
    assert verdict is Verdict.ERROR
    assert "pairs on candidate-0 at 0.2" in found.error
    assert "energy that is not finite" in found.error


def test_a_broken_trajectory_counts_as_far_as_it_goes(gate, run_check):
    runs = runs_with()
    first, *others = runs.nvt["candidate"]
    short = replace(first, frames=first.frames[:3], broken="after step 15: it exploded")
    context = gate(runs=of_nvt({**runs.nvt, "candidate": (short, *others)}))
    verdict, found = run_check(students.CHECKS, "student.own-force", context, None)
    assert (verdict, found.evidence["n_frames"]) == (Verdict.PASS, 23)
    gone = replace(first, frames=[], broken="after step 0: it exploded")
    context = gate(runs=of_nvt({**runs.nvt, "candidate": (gone,)}))
    verdict, found = run_check(students.CHECKS, "student.worst-frame", context, None)
    assert verdict is Verdict.ERROR
    assert "it exploded" in found.error


def phases() -> tuple[Named, ...]:
    wide = QUARTZ.copy()
    wide.set_cell(wide.cell * 1.03, scale_atoms=True)
    return Named("dense", QUARTZ), Named("wide", wide), Named("other", build_crystal("Si-diamond"))


def test_phases_in_another_order_fail(changed, gate, run_check):
    right = gate(crystals=phases())
    verdict, found = run_check(students.STATIC, "student.phase-energies", right, right.standard)
    assert verdict is Verdict.PASS
    (told,) = found.evidence["differences_meV_per_atom"].values()
    assert told["student"] == told["teacher"]
    favours = 2 * told["teacher"] / 1e3

    def other(atoms: Atoms, result: Any) -> dict[str, Any]:
        dense = atoms.get_volume() < 1.01 * QUARTZ.get_volume()
        return {"energy": result.energy - favours * len(atoms) * dense}

    wrong = gate(changed(other), crystals=phases())
    verdict, found = run_check(
        students.STATIC, "student.phase-energies", wrong, wrong.candidate_subject
    )
    assert verdict is Verdict.FAIL
    assert found.value == pytest.approx(abs(told["teacher"]))
    alone = gate(crystals=phases()[1:])
    assert run_check(students.STATIC, "student.phase-energies", alone, alone.standard)[0] == (
        Verdict.SKIPPED
    )


def test_diffusion_is_compared_where_the_teacher_diffuses(gate):
    def told(teacher: float, own: float) -> tuple[Verdict, Any]:
        runs = runs_with(flow=own)
        theirs = tuple(moving(f"reference-{i}", i, flow=teacher) for i in range(3))
        context = gate(runs=of_nvt({**runs.nvt, "reference": theirs}))
        (check,) = (check for check in students.CHECKS if check.id == "student.diffusion")
        oxygen, silicon = check.run(context, context.candidate_subject)
        assert silicon.skipped
        return judge(oxygen, LIMIT), oxygen

    assert told(0.0, 0.0)[0] is Verdict.SKIPPED
    assert told(0.2, 0.2)[0] is Verdict.PASS
    verdict, found = told(0.2, 0.1)
    assert verdict is Verdict.FAIL
    assert found.structure == "quartz O"
    assert found.evidence["difference"] == pytest.approx(75, abs=2)  # of the square
    coefficients = found.evidence["diffusion_A2_per_ps"]
    assert coefficients["candidate"] / coefficients["reference"] == pytest.approx(0.25, abs=0.02)


def hole(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pair potential, which falls again below 1 Å."""
    x = np.maximum(r, 1e-9) / 5.0
    value = 10 * (1 - x) ** 4 * (1 - 2 * x) - 60 * np.clip(1.0 - r, 0, None) ** 2
    return value, np.zeros_like(r)


def hole_behind_a_wall(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same behind a wall that no atom climbs."""
    return hole(r)[0] + 40 * np.exp(-(((r - 0.85) / 0.08) ** 2)), np.zeros_like(r)


def flat(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros_like(r), np.zeros_like(r)


@pytest.mark.parametrize("crystals", [(), (Named("quartz", build_crystal("SiO2-quartz")),)])
def test_holes_and_missing_walls_fail(crystals, with_phi, gate, run_check):
    def told(name: str, student: Any = None, teacher: Any = None) -> Verdict:
        context = gate(student, teacher, crystals=crystals)
        return run_check(walls.CHECKS, f"student.{name}", context, context.candidate_subject)[0]

    for name in ("wall", "wall-height"):
        assert told(name) is Verdict.PASS
    assert told("wall", with_phi(hole)) is Verdict.FAIL
    # What the teacher has as well is no fault of the student.
    assert told("wall", with_phi(hole), with_phi(hole)) is Verdict.PASS
    assert told("wall", with_phi(flat)) is Verdict.PASS
    assert told("wall-height", with_phi(flat)) is Verdict.FAIL
    assert told("wall-height", with_phi(flat), with_phi(flat)) is Verdict.SKIPPED


def test_a_hole_that_no_atom_reaches_is_none(with_phi, gate, run_check):
    context = gate(with_phi(hole_behind_a_wall))
    found = run_check(walls.CHECKS, "student.wall", context, context.candidate_subject)
    assert found[0] is Verdict.PASS


def test_atoms_come_as_close_as_half_an_angstrom(gate):
    context = gate(crystals=(Named("quartz", build_crystal("SiO2-quartz")),))
    found = {one.name: one for one in walls.approaches(context, context.candidate_subject)}
    assert {"O-O", "O-Si", "Si-Si", "quartz O-Si", "quartz compressed"} <= set(found)
    for one in found.values():
        assert np.all(np.diff(one.distances) < 0)
        assert one.distances[-1] == pytest.approx(0.5)
        last = one.frames[-1].get_all_distances(mic=True)
        assert last[last > 0].min() == pytest.approx(0.5, abs=1e-4)


def test_the_densest_of_crystals_are_evaluated_at_half_an_angstrom(gate):
    """A limit of 3 atoms/Å³ refused rutile there, and with it the files of its students."""
    crystals = (build_crystal("TiO2-rutile"), bulk("Cu"))
    context = gate(crystals=tuple(Named(f"{atoms.symbols}", atoms) for atoms in crystals))
    subject = context.candidate_subject
    found = [one for one in walls.approaches(context, subject) if "compressed" in one.name]
    assert len(found) == 2
    for one in found:
        check_structure(one.frames[-1])
