"""The plan of a distillation: splits, costs, and what tells its files apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from m3compress.contract.cells import perpendicular_widths
from m3compress.distill.data.phases import plan_data
from m3compress.distill.data.plan import of_split
from m3compress.distill.data.sampling import Sampling
from m3compress.errors import StructureError
from m3compress.models.structures.crystals import build_crystal
from m3compress.models.structures.frames import Named

RUTILE = Named("rutile", build_crystal("TiO2-rutile"))
QUARTZ = Named("my quartz / 2", build_crystal("SiO2-quartz"))


def test_the_default_plan_is_the_recipe():
    plan = plan_data([RUTILE, QUARTZ], 5.0, Sampling())
    assert {name: len(atoms) for name, atoms in plan.phases.items()} == {
        "rutile": 48,
        "my-quartz-2": 72,
    }
    assert plan.elements == ("O", "Si", "Ti")
    amounts = {
        split: sum(group.n_frames for group in of_split(plan.groups, split))
        for split in ("train", "validation", "test")
    }
    assert amounts == {"train": 200 + 640 + 16 + 24 + 6 * 12, "validation": 24, "test": 72}
    assert plan.trajectory.timestep == 1.5


def test_what_is_held_back_are_trajectories_at_other_temperatures(plan):
    def kelvin(split):
        return {g.temperature for g in of_split(plan.groups, split) if g.kind == "trajectory"}

    assert kelvin("train") == {300.0, 600.0}
    assert kelvin("validation") == kelvin("test") == {450.0}
    held = [g for g in plan.groups if g.split != "train"]
    assert all(group.kind == "trajectory" for group in held)
    assert len({group.seed for group in plan.groups}) == len(plan.groups)


def test_the_lightest_atom_sets_the_timestep():
    for symbols, expected in (("NaH", 0.5), ("LiF", 1.0), ("MgO", 1.5)):
        crystal = Named(symbols, bulk(symbols, "rocksalt", a=4.5))
        assert plan_data([crystal], 5.0, Sampling()).trajectory.timestep == expected


def test_cost_is_what_is_evaluated(plan, teacher, tmp_path):
    class Counted:
        elements, cutoff, atoms = teacher.elements, teacher.cutoff, 0

        def evaluate(self, atoms):
            self.atoms += len(atoms)
            return teacher.evaluate(atoms)

    counted = Counted()
    sampler = plan.sampler(counted, "counted", tmp_path)
    for group in plan.groups:
        counted.atoms = 0
        frames = sampler(group)
        assert len(frames) == group.n_frames
        assert counted.atoms == pytest.approx(plan.atoms_evaluated(group), abs=len(frames[0]))
    total = sum(plan.atoms_evaluated(group) for group in plan.groups)
    assert plan.seconds(0.1, 1) == pytest.approx(0.1 * total)
    longest = max(plan.atoms_evaluated(group) for group in plan.groups)
    assert plan.seconds(0.1, 1000) == pytest.approx(0.1 * longest)


def test_a_plan_says_what_it_is(plan):
    said = "\n".join(plan.describe())
    for words in (
        "phases: salt (O4Si4)",
        "train: 42 frames, 4 of 2 trajectories (300–600 K), 22 strained and rattled, 3 compressed",
        "4 with close atoms, 9 isolated pairs",
        "test: 2 frames, 2 of 1 trajectories (450 K)",
    ):
        assert words in said


def test_files_are_told_apart_by_what_decides_them(plan, sampling):
    before = plan.contents("teacher")
    assert set(before) == {group.name for group in plan.groups}
    assert len(set(before.values())) == len(before)

    def changed(other, teacher="teacher"):
        now = other.contents(teacher)
        return {name for name in before.keys() & now.keys() if now[name] != before[name]}

    salt = Named("salt", bulk("SiO", "rocksalt", a=4.5))
    assert changed(plan, "another teacher") == set(before)
    assert changed(plan_data([salt], 4.0, replace(sampling, seed=1))) == set(before)
    hotter = plan_data([salt], 4.0, replace(sampling, temperatures=(300.0, 600.0, 900.0)))
    # The frames to test on are spread over more temperatures; everything else stays.
    assert changed(hotter) == {"test-salt-450"}
    larger = plan_data([Named("salt", bulk("SiO", "rocksalt", a=4.6))], 4.0, sampling)
    assert changed(larger) == {name for name in before if "salt" in name}


def test_names_become_those_of_files(sampling):
    gas = Named("OO", Atoms("O2", positions=[[0, 0, 0], [1.2, 0, 0]], cell=[8] * 3, pbc=True))
    assert list(plan_data([gas], 4.0, sampling).phases) == ["OO-crystal"]
    with pytest.raises(StructureError, match="two structures are called rutile"):
        plan_data([RUTILE, RUTILE], 4.0, sampling)


def test_what_gives_no_frames_is_refused(sampling):
    with pytest.raises(StructureError, match="no structures"):
        plan_data([], 4.0, sampling)
    with pytest.raises(StructureError, match="water is not periodic"):
        plan_data([Named("water", molecule("H2O"))], 4.0, sampling)


def test_curvatures_cost_two_evaluations_and_change_the_frames_that_have_them(rocksalt, sampling):
    flat, curved = (
        plan_data([rocksalt], 4.0, replace(sampling, curved=on)) for on in (False, True)
    )
    before, after = flat.contents("teacher"), curved.contents("teacher")
    changed = {group.kind for group in flat.groups if before[group.name] != after[group.name]}
    assert changed == {"distorted", "trajectory"}
    for group in flat.groups:
        more = curved.atoms_evaluated(group) - flat.atoms_evaluated(group)
        n_atoms = len(flat.phases["salt"]) if group.kind in changed else 0
        assert more == 2 * group.n_frames * n_atoms


def test_phases_of_skewed_cells_are_wide(sampling):
    skewed = RUTILE.atoms.copy()
    skewed.set_cell(np.array([[1, 0, 0], [6, 1, 0], [-5, 7, 1]]) @ skewed.cell.array)
    straight, found = (
        next(iter(plan_data([Named("rutile", atoms)], 4.0, sampling).phases.values()))
        for atoms in (RUTILE.atoms, skewed)
    )
    assert len(found) == len(straight)
    assert perpendicular_widths(found).min() == pytest.approx(perpendicular_widths(straight).min())
