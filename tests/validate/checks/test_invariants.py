"""Every invariance holds for a right model, and is found missing in one that lacks it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from m3compress.contract.neighbors import find_edges
from m3compress.validate.checks.invariants import CHECKS
from m3compress.validate.result import Tier, Verdict
from m3compress.validate.setup.limits import read_limits
from m3compress.validate.setup.subject import exported

IDS = [check.id for check in CHECKS]


def moments(atoms, cutoff=5.0):
    """Σ_j r_ij w(r) of every atom for two weights, shape (2, n_atoms, 3)."""
    edges, vectors = find_edges(atoms, cutoff)
    x = np.linalg.norm(vectors, axis=1, keepdims=True) / cutoff
    found = np.zeros((2, len(atoms), 3))
    for moment, weight in zip(found, ((1 - x) ** 3, x * (1 - x) ** 3), strict=True):
        np.add.at(moment, edges.centers, weight * vectors)
    return found


def ordered(atoms, result):
    return {"forces": result.forces * (1 + 0.01 * np.arange(len(atoms)))[:, None]}


def misread(atoms, result):
    return {"forces": result.forces + 0.01 * result.forces[::-1]}


def in_a_field(atoms, result):
    return {"forces": result.forces + 0.01 * np.sin(atoms.positions)}


def anisotropic(atoms, result):
    return {"forces": result.forces * [1.0, 1.0, 1.01]}


def chiral(atoms, result):
    return {"forces": result.forces + np.cross(*moments(atoms))}


def tied_to_the_cell(atoms, result):
    outside = np.floor(atoms.get_scaled_positions(wrap=False)) if atoms.pbc.any() else 0
    return {"forces": result.forces + 0.01 * outside}


def inextensive(atoms, result):
    return {"forces": result.forces * (1 + 1e-3 * len(atoms))}


def tied_to_cell_lengths(atoms, result):
    return {"forces": result.forces * (1 + 0.01 * atoms.cell.lengths()[1])}


def long_ranged(atoms, result):
    """1/r⁶ up to 40 Å, which the receptive field does not tell."""
    edges, vectors = find_edges(atoms, 40.0 if not atoms.pbc.any() else 5.0)
    r = np.linalg.norm(vectors, axis=1)
    extra = np.bincount(edges.centers, r**-3, minlength=len(atoms))
    energies = result.energies + extra
    return {"energies": energies, "energy": float(energies.sum())}


def pushed(atoms, result):
    return {"forces": result.forces + np.array([1e-3, 0, 0])}


def offset(atoms, result):
    return {"energy": result.energy + 1e-4}


def misordered_energy(atoms, result):
    change = 1e-2 * float(np.arange(len(atoms)) @ atoms.positions[:, 0])
    return {"energy": result.energy + change}


BROKEN = {
    "inv.permutation": ordered,
    "inv.translation": in_a_field,
    "inv.rotation": anisotropic,
    "inv.inversion": chiral,
    "inv.wrapping": tied_to_the_cell,
    "inv.supercell": inextensive,
    "inv.equivalent-cell": tied_to_cell_lengths,
    "inv.additivity": inextensive,
    "inv.locality": long_ranged,
    "inv.net-force": pushed,
    "inv.energy": misordered_energy,
    "inv.isolated-atom": offset,
}


#: Checks of what only a file has.
OF_FILES = ("inv.threads", "inv.batch")


def test_every_limit_has_its_check():
    assert sorted(IDS) == sorted(name for name in read_limits("ci") if name.startswith("inv."))
    assert {check.tier for check in CHECKS} == {Tier.INVARIANTS}


@pytest.mark.parametrize("name", [name for name in IDS if name not in OF_FILES])
def test_a_right_model_passes(name, pair_subject, fake_gate, run_check):
    verdict, found = run_check(CHECKS, name, fake_gate(pair_subject), pair_subject)
    assert verdict is Verdict.PASS
    assert found.value < 1e-7  # of its tolerance, mostly
    assert found.evidence["values"]


@pytest.mark.parametrize(("name", "change"), BROKEN.items())
def test_a_broken_model_fails(name, change, changed, fake_gate, run_check):
    broken = changed(change)
    verdict, found = run_check(CHECKS, name, fake_gate(broken), broken)
    assert verdict is Verdict.FAIL
    assert found.structure


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (chiral, ("inv.rotation", "inv.translation", "inv.permutation")),
        (anisotropic, ("inv.inversion", "inv.translation", "inv.permutation")),
        (pushed, ("inv.translation", "inv.permutation", "inv.supercell")),
        (inextensive, ("inv.rotation", "inv.inversion", "inv.equivalent-cell")),
    ],
)
def test_what_is_not_broken_still_passes(change, kept, changed, fake_gate, run_check):
    broken = changed(change)
    for name in kept:
        verdict, _ = run_check(CHECKS, name, fake_gate(broken), broken)
        assert verdict is Verdict.PASS, name


def test_the_order_of_neighbours_is_seen(changed, fake_gate, run_check):
    broken = changed(shuffled=misread)
    verdict, found = run_check(CHECKS, "inv.neighbor-order", fake_gate(broken), broken)
    assert verdict is Verdict.FAIL
    assert "order of the neighbours" in found.evidence["remark"]


def test_noise_is_seen(changed, fake_gate, run_check):
    calls = itertools.count()
    noisy = changed(lambda atoms, result: {"forces": result.forces + 1e-12 * next(calls)})
    verdict, _ = run_check(CHECKS, "inv.determinism", fake_gate(noisy), noisy)
    assert verdict is Verdict.FAIL


def test_noise_of_the_energy_alone_is_seen(changed, fake_gate, run_check):
    calls = itertools.count()
    noisy = changed(lambda atoms, result: {"energy": result.energy + 1e-9 * next(calls)})
    verdict, _ = run_check(CHECKS, "inv.determinism", fake_gate(noisy), noisy)
    assert verdict is Verdict.FAIL


@pytest.mark.parametrize(("error", "expected"), [(0.0, Verdict.PASS), (1e-3, Verdict.FAIL)])
@pytest.mark.parametrize("output", ["forces", "energies", "virials"])
def test_batches(
    output, error, expected, silica_artefact, silica_zoo, make_context, run_check, monkeypatch
):
    file = exported(silica_artefact).open()
    context = make_context(file.spec, zoo=silica_zoo[:6])
    right = file.evaluate_all

    def wrong(structures):
        found = right(structures)
        return [replace(one, **{output: getattr(one, output) + error}) for one in found]

    monkeypatch.setattr(file, "evaluate_all", wrong)
    assert run_check(CHECKS, "inv.batch", context, file)[0] is expected


def test_only_files_are_evaluated_in_batches(pair_subject, fake_gate, run_check):
    verdict, _ = run_check(CHECKS, "inv.batch", fake_gate(pair_subject), pair_subject)
    assert verdict is Verdict.SKIPPED


@pytest.mark.parametrize(("error", "expected"), [(0.0, Verdict.PASS), (1e-3, Verdict.FAIL)])
def test_threads(error, expected, changed, fake_gate, run_check):
    def on(threads):
        return changed(lambda atoms, result: {"forces": result.forces + error * threads})

    subject = on(1)
    subject.spec = replace(subject.spec, kind="artefact", per_thread=on)
    verdict, _ = run_check(CHECKS, "inv.threads", fake_gate(subject), subject)
    assert verdict is expected


def test_threads_of_pytorch_are_not_a_property_of_a_model(pair_subject, fake_gate, run_check):
    verdict, _ = run_check(CHECKS, "inv.threads", fake_gate(pair_subject), pair_subject)
    assert verdict is Verdict.SKIPPED


def test_a_crash_on_one_structure_does_not_stop_the_others(changed, fake_gate):
    def fragile(atoms, result):
        if len(atoms) == 5:
            raise RuntimeError("out of luck")
        return {}

    broken = changed(fragile)
    (check,) = (check for check in CHECKS if check.id == "inv.rotation")
    error, found = check.run(fake_gate(broken), broken)
    assert error.error == "RuntimeError: out of luck"
    assert error.structure == "molecule"
    assert len(found.evidence["values"]) == 5


def test_forces_that_are_not_numbers_fail(changed, fake_gate, run_check):
    broken = changed(lambda atoms, result: {"forces": result.forces * np.nan})
    verdict, _ = run_check(CHECKS, "inv.translation", fake_gate(broken), broken)
    assert verdict is Verdict.FAIL


def test_nothing_suitable_is_skipped(pair_subject, make_context, run_check):
    context = make_context(pair_subject.spec, pair_subject.spec, zoo=())
    verdict, found = run_check(CHECKS, "inv.supercell", context, pair_subject)
    assert verdict is Verdict.SKIPPED
    assert found.skipped


# ---- the built-in model ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def artefact(artefact_spec):
    return artefact_spec.open()


@pytest.mark.parametrize("name", IDS)
def test_the_exported_file_passes(name, artefact, artefact_spec, make_context, run_check):
    context = make_context(artefact_spec)
    verdict, _ = run_check(CHECKS, name, context, artefact)
    assert verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("form", "failing", "kept"),
    [
        ("misrouted", ("inv.permutation", "inv.neighbor-order", "inv.inversion"), "inv.rotation"),
        ("pruned=0.2", ("inv.permutation", "inv.supercell"), "inv.neighbor-order"),
    ],
)
def test_forms_that_depend_on_the_order(form, failing, kept, builtin_spec, make_context, run_check):
    spec = replace(builtin_spec, form=form)
    context, subject = make_context(spec), spec.open()
    for name in failing:
        verdict, found = run_check(CHECKS, name, context, subject)
        assert verdict is Verdict.FAIL
        assert found.value > 1e-2
    assert run_check(CHECKS, kept, context, subject)[0] is Verdict.PASS


def test_a_misrouted_model_is_recognised(builtin_spec, make_context, run_check):
    spec = replace(builtin_spec, form="misrouted")
    _, found = run_check(CHECKS, "inv.permutation", make_context(spec), spec.open())
    assert "matgl before 4.1" in found.evidence["remark"]


def test_isolated_atoms_are_compared_with_the_reference(artefact, artefact_spec, make_context):
    context = make_context(artefact_spec)
    (check,) = (check for check in CHECKS if check.id == "inv.isolated-atom")
    (found,) = check.run(context, artefact)
    assert set(found.evidence["values"]) == {"O", "Si"}
    expected = context.reference_subject.evaluate(Atoms(found.structure)).energy
    assert found.evidence["reference_energy"] == expected
