"""What is right in ten atoms and wrong in more is seen, in every output."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from m3compress.contract.neighbors import find_edges
from m3compress.errors import CapacityError
from m3compress.models.structures.crystals import build_crystal
from m3compress.models.structures.frames import Named
from m3compress.validate.checks import sizes
from m3compress.validate.checks.sizes import CHECKS
from m3compress.validate.result import Verdict

LARGE, CROWDED = NAMES = tuple(check.id for check in CHECKS)
QUARTZ = (Named("SiO2-quartz", build_crystal("SiO2-quartz")),)


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_copy_passes(name, twin_gate, changed, run_check):
    candidate = changed()
    context = twin_gate(candidate, crystals=QUARTZ)
    verdict, found = run_check(CHECKS, name, context, candidate)
    assert verdict is Verdict.PASS
    assert found.value < 1e-3
    if name == LARGE:
        assert found.evidence["largest_cell"] >= 2000


def above(n_atoms, change):
    """A change of structures of more atoms."""
    return lambda atoms, result: change(result) if len(atoms) > n_atoms else {}


WRONG_IN_LARGE = {
    "forces above 300": (300, lambda r: {"forces": 1.05 * r.forces}),
    "forces above 1500": (1500, lambda r: {"forces": 1.001 * r.forces}),
    "virial above 40": (40, lambda r: {"virial": 0.8 * r.virial}),
    "energies beyond the 300th": (
        300,
        lambda r: {
            "energies": np.where(np.arange(len(r.energies)) < 300, r.energies, 0.0),
        },
    ),
    "total energy above 300": (300, lambda r: {"energy": r.energy * 1.0001}),
}


@pytest.mark.parametrize(("n_atoms", "change"), WRONG_IN_LARGE.values(), ids=[*WRONG_IN_LARGE])
def test_what_is_wrong_in_large_cells_alone_fails(n_atoms, change, twin_gate, changed, run_check):
    candidate = changed(above(n_atoms, change))
    context = twin_gate(candidate, crystals=QUARTZ)
    verdict, found = run_check(CHECKS, LARGE, context, candidate)
    assert verdict is Verdict.FAIL
    sizes = {int(name.split()[-2]): value for name, value in found.evidence["values"].items()}
    assert all((value > 1) == (size > n_atoms) for size, value in sizes.items())


@pytest.mark.parametrize("least", [100, 200])
def test_what_is_wrong_with_many_neighbors_fails(least, twin_gate, changed, run_check):
    def change(atoms, result):
        counts = np.bincount(find_edges(atoms, 5.0)[0].centers)
        return {"forces": 1.05 * result.forces} if counts.max() > least else {}

    candidate = changed(change)
    context = twin_gate(candidate, crystals=QUARTZ)
    assert run_check(CHECKS, CROWDED, context, candidate)[0] is Verdict.FAIL
    assert run_check(CHECKS, LARGE, context, candidate)[0] is Verdict.PASS


def test_what_a_file_has_no_room_for_is_not_counted(twin_gate, changed, run_check):
    def change(atoms, result):
        if len(atoms) > 500:
            raise CapacityError("too large")
        return {}

    candidate = changed(change)
    context = twin_gate(candidate, crystals=QUARTZ)
    verdict, found = run_check(CHECKS, LARGE, context, candidate)
    assert verdict is Verdict.PASS
    assert 200 <= found.evidence["largest_cell"] <= 500


@pytest.mark.parametrize("name", NAMES)
def test_a_control_is_skipped(name, fake_gate, pair_subject, run_check):
    verdict, _ = run_check(CHECKS, name, fake_gate(pair_subject), pair_subject)
    assert verdict is Verdict.SKIPPED


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_exported_file_of_the_built_in_model_passes(
    name, real_gate, silica_artefact, run_check
):
    context = real_gate(silica_artefact, crystals=QUARTZ)
    verdict, found = run_check(CHECKS, name, context, context.candidate_subject)
    assert verdict is Verdict.PASS, found


@pytest.mark.parametrize(
    ("name", "output", "factor", "axis", "least"),
    [
        (LARGE, "forces", 1.05, 0, 300),
        (LARGE, "virial", 0.8, 0, 40),
        (CROWDED, "forces", 1.05, 1, 200),
    ],
)
def test_a_graph_that_looks_at_the_size_fails(
    name, output, factor, axis, least, real_gate, write_wrong, scale_output, run_check, monkeypatch
):
    # No more than it takes to see these: hundreds of atoms of a real network take seconds.
    monkeypatch.setattr(sizes, "_LADDER", (1, 50, 350))
    monkeypatch.setattr(sizes, "_CROWDED", (1, 60))
    wrong = write_wrong(scale_output(output, factor, axis=axis, above=least))
    context = real_gate(wrong, crystals=QUARTZ)
    assert run_check(CHECKS, name, context, context.candidate_subject)[0] is Verdict.FAIL


def test_other_sizes_are_measured_with_every_seed(twin_gate, changed):
    def numbers(seed):
        gate = replace(twin_gate(changed(), crystals=QUARTZ), seed=seed)
        return [len(one.atoms) for one in sizes.large_cells(gate)]

    found = [numbers(seed) for seed in range(4)]
    assert found[0] == numbers(0)
    assert all(ladder == sorted(ladder) and ladder[-1] >= 2000 for ladder in found)
    assert len({tuple(ladder) for ladder in found}) == 4
