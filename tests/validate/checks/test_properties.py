"""The properties tier: candidate and reference each relax the same crystals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from m3compress.errors import StructureError
from m3compress.models.structures.crystals import known_crystals
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.properties import CHECKS, relaxed
from m3compress.validate.result import Verdict
from m3compress.validate.setup.profiles import CI, SMOKE

NAMES = tuple(check.id for check in CHECKS)
B2 = Named("SiO-b2", bulk("SiO", "cesiumchloride", a=3.3))
CUBIC = Named("Si-sc", bulk("Si", "sc", a=2.7))


@pytest.fixture
def make(make_context, pair_subject):
    """A gate with one crystal and the pair potential, or another subject, as its reference."""

    def context(candidate, *crystals, reference=pair_subject, profile=CI):
        return make_context(
            candidate.spec,
            reference.spec,
            zoo=(),
            crystals=crystals or (B2,),
            profile=profile,
        )

    return context


@pytest.fixture
def shrunk(with_phi, pair_subject):
    """The pair potential with all lengths divided by 1.02."""

    def phi(r):
        value, slope = pair_subject.phi(np.minimum(1.02 * r, pair_subject.cutoff))
        return value, 1.02 * slope

    return with_phi(phi)


@pytest.fixture
def with_shell(with_phi, pair_subject):
    """The pair potential and a repulsive shell, without which a simple cubic crystal collapses."""

    def phi(r):
        value, slope = pair_subject.phi(r)
        hill = 0.15 * np.exp(-(((r - 4.24) / 0.25) ** 2))
        return value + hill, slope - 2 * (r - 4.24) / 0.25**2 * hill

    return with_phi(phi)


def verdicts(context, subject, run_check):
    return {name: run_check(CHECKS, name, context, subject)[0] for name in NAMES}


def test_a_perfect_copy_passes(make, changed, run_check):
    candidate = changed()
    context = make(candidate)
    for name in NAMES:
        verdict, found = run_check(CHECKS, name, context, candidate)
        assert verdict is Verdict.PASS
        assert found.value == pytest.approx(0.0, abs=1e-9)
        assert found.structure == "SiO-b2"


def test_shorter_bonds_are_seen_by_cell_and_volume(make, shrunk, run_check):
    context = make(shrunk)
    verdict, cell = run_check(CHECKS, "prop.relax", context, shrunk)
    assert verdict is Verdict.FAIL
    assert cell.value == pytest.approx(100 * (1 - 1 / 1.02), abs=0.05)
    verdict, volume = run_check(CHECKS, "prop.eos-volume", context, shrunk)
    assert verdict is Verdict.FAIL
    assert volume.value == pytest.approx(100 * (1 - 1.02**-3), abs=0.2)
    assert {curve.label for curve in volume.curves} == {"artefact", "reference"}
    # The same energy in a smaller volume: B scales as 1/V.
    _, modulus = run_check(CHECKS, "prop.eos-bulk-modulus", context, shrunk)
    assert modulus.value == pytest.approx(100 * (1.02**3 - 1), abs=0.5)


def test_weak_forces_are_seen_by_elastic_constants_and_phonons(make, changed, run_check):
    candidate = changed(
        lambda atoms, result: {"forces": 0.9 * result.forces, "virial": 0.9 * result.virial}
    )
    context = make(candidate)
    found = {name: run_check(CHECKS, name, context, candidate) for name in NAMES}
    failed = {name for name, (verdict, _) in found.items() if verdict is Verdict.FAIL}
    assert failed == {"prop.elastic", "prop.phonon-maximum"}
    assert found["prop.elastic"][1].value == pytest.approx(10.0, abs=0.1)
    expected = 100 * (1 - np.sqrt(0.9))
    assert found["prop.phonon-maximum"][1].value == pytest.approx(expected, abs=0.1)


def test_an_energy_that_is_not_that_of_the_forces_is_seen_by_the_bulk_modulus(
    make, changed, run_check
):
    candidate = changed(lambda atoms, result: {"energy": 1.2 * result.energy})
    context = make(candidate)
    found = verdicts(context, candidate, run_check)
    assert [n for n in NAMES if found[n] is Verdict.FAIL] == ["prop.eos-bulk-modulus"]


def test_a_crystal_that_becomes_unstable_is_seen(make, with_shell, pair_subject, run_check):
    context = make(pair_subject, CUBIC, reference=with_shell)
    verdict, found = run_check(CHECKS, "prop.phonon-imaginary", context, pair_subject)
    assert verdict is Verdict.FAIL
    assert found.value == -found.evidence["lowest"] > 0.1
    assert found.evidence["n_imaginary"] > 0
    assert found.evidence["reference_n_imaginary"] == 0


def test_a_crystal_that_was_unstable_before_is_not_held_against_it(
    make, changed, with_shell, run_check
):
    same, stable = changed(), with_shell
    for candidate in (same, stable):
        verdict, found = run_check(
            CHECKS, "prop.phonon-imaginary", make(candidate, CUBIC), candidate
        )
        assert verdict is Verdict.PASS
        assert found.evidence["reference_n_imaginary"] > 0


def test_a_crystal_that_becomes_more_unstable_is_seen(make, changed, run_check):
    """By as much as it becomes so: forces × 1.21 are frequencies × 1.1."""
    candidate = changed(lambda atoms, result: {"forces": 1.21 * result.forces})
    verdict, found = run_check(CHECKS, "prop.phonon-imaginary", make(candidate, CUBIC), candidate)
    assert verdict is Verdict.FAIL
    assert found.value == pytest.approx(-found.evidence["reference_lowest"] / 10, rel=0.02)


def test_a_crystal_that_the_candidate_cannot_treat_is_an_error_beside_the_others(
    make, changed, run_check
):
    def change(atoms, result):
        if "O" in atoms.symbols:
            raise StructureError("no oxygen today")
        return {}

    candidate = changed(change)
    context = make(candidate, B2, Named("Si-fcc", bulk("Si", "fcc", a=4.1)))
    for check in CHECKS:
        broken, fine = check.run(context, candidate)
        assert "candidate: no oxygen today" in broken.error
        assert fine.structure == "Si-fcc"
        assert fine.error is None


def test_a_crystal_that_only_the_reference_cannot_treat_is_an_error(make, changed, run_check):
    def change(atoms, result):
        raise StructureError("not today")

    candidate = changed()
    context = make(candidate, reference=changed(change))
    verdict, found = run_check(CHECKS, "prop.relax", context, candidate)
    assert verdict is Verdict.ERROR
    assert found.error.startswith("reference: not today")


def test_a_crystal_that_neither_can_treat_is_skipped(make, changed, run_check):
    def change(atoms, result):
        raise StructureError("not today")

    candidate = changed(change)
    context = make(candidate, reference=changed(change))
    verdict, found = run_check(CHECKS, "prop.elastic", context, candidate)
    assert verdict is Verdict.SKIPPED
    assert "not today" in found.skipped


def test_forces_that_are_no_numbers_never_pass(make, changed, run_check):
    candidate = changed(lambda atoms, result: {"forces": np.full_like(result.forces, np.nan)})
    found = verdicts(make(candidate), candidate, run_check)
    assert Verdict.PASS not in found.values()
    assert Verdict.SKIPPED not in found.values()


def test_profiles_choose_properties_and_crystals(make, changed, run_check):
    candidate = changed()
    crystals = [Named(f"Si-{n}", bulk("Si", "fcc", a=4.1)) for n in range(3)]
    smoke = make(candidate, *crystals, profile=SMOKE)
    by_check = {check.id: list(check.run(smoke, candidate)) for check in CHECKS}
    assert [m.structure for m in by_check.pop("prop.relax")] == ["Si-0"]
    assert all("smoke" in m.skipped for (m,) in by_check.values())
    (relax_check,) = (check for check in CHECKS if check.id == "prop.relax")
    ci = make(candidate, *crystals)
    assert [m.structure for m in relax_check.run(ci, candidate)] == ["Si-0", "Si-1"]


def test_without_crystals_everything_is_skipped(make_context, pair_subject, run_check):
    context = make_context(pair_subject.spec, pair_subject.spec, zoo=(), profile=CI)
    assert set(verdicts(context, pair_subject, run_check).values()) == {Verdict.SKIPPED}


def test_a_crystal_is_relaxed_once(make, changed):
    seen = []
    candidate = changed(lambda atoms, result: seen.append(atoms) or {})
    context = make(candidate)
    first = relaxed(context, candidate, B2)
    count = len(seen)
    assert relaxed(context, candidate, B2) is first
    assert len(seen) == count > 0


@pytest.mark.slow
def test_the_exported_file_of_the_built_in_model_passes(make_context, artefact_spec, run_check):
    crystals = {crystal.name: crystal for crystal in known_crystals(("O", "Si"))}
    named = tuple(Named(n, crystals[n].atoms) for n in ("SiO2-quartz", "Si-diamond"))
    context = make_context(artefact_spec, zoo=(), crystals=named, profile=CI)
    assert set(verdicts(context, context.candidate_subject, run_check).values()) == {Verdict.PASS}


def test_the_built_in_model_without_its_three_body_block_fails(
    make_context, builtin_spec, run_check
):
    removed = replace(builtin_spec, name="removed", form="removed", precision="float32")
    crystal = known_crystals(("Si",))[0]
    context = make_context(
        removed, zoo=(), crystals=(Named(crystal.name, crystal.atoms),), profile=CI
    )
    found = verdicts(context, context.candidate_subject, run_check)
    assert {found[name] for name in NAMES if name != "prop.phonon-imaginary"} == {Verdict.FAIL}
