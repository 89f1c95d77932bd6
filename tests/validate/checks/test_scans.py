"""Bonds and angles of the scans are what they are called, and differences are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from m3compress.models.structures.frames import Named
from m3compress.validate.checks.scans import CHECKS, scan_angles, scan_bonds, scan_dimers
from m3compress.validate.result import Verdict

IDS = [check.id for check in CHECKS]


@pytest.fixture
def context(pair_subject, fake_gate):
    return fake_gate(pair_subject)


@pytest.mark.parametrize("name", IDS)
def test_a_right_model_passes(name, pair_subject, context, run_check):
    verdict, found = run_check(CHECKS, name, context, pair_subject)
    assert verdict is Verdict.PASS
    assert found.value == 0
    assert {curve.label for curve in found.curves} == {"artefact", "reference"}
    assert all(len(curve.x) == len(curve.y) > 10 for curve in found.curves)


@pytest.mark.parametrize("name", IDS)
def test_another_potential_fails(name, pair_subject, with_phi, fake_gate, run_check):
    subject = with_phi(lambda r: tuple(1.05 * value for value in pair_subject.phi(r)))
    verdict, _ = run_check(CHECKS, name, fake_gate(subject), subject)
    assert verdict is Verdict.FAIL


@pytest.mark.parametrize("name", IDS)
def test_a_constant_is_not_taken_out(name, changed, fake_gate, run_check):
    subject = changed(lambda atoms, result: {"energy": result.energy + 0.01})
    verdict, found = run_check(CHECKS, name, fake_gate(subject), subject)
    assert verdict is Verdict.FAIL
    assert found.value == pytest.approx(0.01)


def test_dimers_reach_beyond_the_cutoff(context, pair_subject):
    scans = list(scan_dimers(context, pair_subject))
    assert {scan.figure for scan in scans} == {"dimer:Si-Si", "dimer:Si-O", "dimer:O-O"}
    for scan in scans:
        lengths = [atoms.get_distance(0, 1) for atoms in scan.frames]
        assert lengths == pytest.approx(scan.x)
        assert scan.x[-1] > pair_subject.cutoff


def the_moved_atom(frames):
    moved = np.abs(frames[0].positions - frames[-1].positions).max(axis=1)
    (atom,) = np.flatnonzero(moved)
    return atom


def test_bonds_are_as_long_as_the_figure_says(context, pair_subject):
    scans = list(scan_bonds(context, pair_subject))
    assert "bond:Si-O" in {scan.figure for scan in scans}
    for scan in scans:
        j = the_moved_atom(scan.frames)
        for atoms, length in zip(scan.frames, scan.x, strict=True):
            centers, distances = neighbor_list("id", atoms, 5.0)
            assert np.abs(distances[centers == j] - length).min() < 1e-9


def test_angles_are_as_wide_as_the_figure_says(context, pair_subject):
    scans = list(scan_angles(context, pair_subject))
    molecules = [scan for scan in scans if scan.structure == "molecule"]
    assert {scan.figure for scan in molecules} == {"angle:O-Si-O", "angle:Si-O-Si"}
    for scan in molecules:
        assert [a.get_angle(0, 1, 2) for a in scan.frames] == pytest.approx(scan.x, abs=1e-6)
        legs = {round(atoms.get_distance(1, end), 9) for atoms in scan.frames for end in (0, 2)}
        assert len(legs) == 1
        assert legs.pop() < pair_subject.three_body_cutoff


def test_angles_of_crystals_are_bent_and_bonds_kept(context, pair_subject):
    scans = [s for s in scan_angles(context, pair_subject) if s.structure != "molecule"]
    assert scans
    for scan in scans:
        j = the_moved_atom(scan.frames)
        lengths = []
        for atoms, width in zip(scan.frames, scan.x, strict=True):
            found = [(abs(angle - width), leg) for angle, leg in angles_at_ends_of(atoms, j)]
            error, leg = min(found)
            assert error < 1e-6
            lengths.append(leg)
        assert np.ptp(lengths) < 1e-9
        assert max(lengths) < pair_subject.three_body_cutoff


def angles_at_ends_of(atoms, j):
    """All (angle j-i-k in degrees, length of i-j) with legs below 4 Å, by ASE's neighbour list."""
    i, ends, vectors = neighbor_list("ijD", atoms, 4.0)
    for edge in np.flatnonzero(ends == j):
        own = vectors[edge]
        for other in vectors[(i == i[edge]) & (np.arange(len(i)) != edge)]:
            cosine = own @ other / np.linalg.norm(own) / np.linalg.norm(other)
            yield np.degrees(np.arccos(np.clip(cosine, -1, 1))), np.linalg.norm(own)


def test_one_element_is_enough(pair_subject, make_context):
    zoo = (Named("silicon", Atoms("Si2", cell=[4, 4, 4], positions=[[0, 0, 0], [0, 0, 2]])),)
    context = make_context(pair_subject.spec, pair_subject.spec, zoo=zoo)
    assert [scan.figure for scan in scan_dimers(context, pair_subject)] == ["dimer:Si-Si"]
    assert [scan.figure for scan in scan_angles(context, pair_subject)] == ["angle:Si-Si-Si"]


@pytest.mark.parametrize("name", IDS)
def test_the_exported_file_passes_by_a_wide_margin(name, artefact_spec, make_context, run_check):
    context = make_context(artefact_spec)
    verdict, found = run_check(CHECKS, name, context, context.candidate_subject)
    assert verdict is Verdict.PASS
    assert found.value < 1e-4


def test_removed_three_body_is_seen_in_angles_and_not_in_dimers(
    builtin_spec, make_context, run_check
):
    context = make_context(replace(builtin_spec, form="removed"))
    subject = context.candidate_subject
    assert run_check(CHECKS, "smooth.dimer", context, subject)[0] is Verdict.PASS
    verdict, found = run_check(CHECKS, "smooth.angle", context, subject)
    assert verdict is Verdict.FAIL
    assert found.value > 0.1
    assert found.evidence["values"]["angle:O-Si-O molecule"] > 0.1
