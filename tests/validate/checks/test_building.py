"""How to add a check: a function, a builder that says what it is measured on, and a limit.

The first test is the worked example of ``docs/extending.md``. A check that stays needs three files:
the module of its tier in ``validate/checks/`` (where it also joins ``CHECKS``), a row of
``validate/setup/limits.toml``, and a test.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms

from m3compress.errors import M3CompressError, StructureError
from m3compress.models.structures.frames import Named
from m3compress.validate.checks import building
from m3compress.validate.checks.building import (
    Case,
    Check,
    count_problems,
    on_crystals,
    on_file,
    on_predictions,
    on_samples,
    on_structures,
)
from m3compress.validate.checks.selection import Found, select
from m3compress.validate.result import Limit, Measurement, Tier, Verdict
from m3compress.validate.run import run_checks
from m3compress.validate.setup.profiles import SMOKE


def test_a_check_of_structures_invented_here(fake_gate, changed):
    # 1. What is measured on one structure: zero for a perfect model, larger for a worse one.
    def torque(case: Case[Named]) -> Found | None:
        """Net torque in eV about the origin: no cluster may turn by itself."""
        atoms = case.entry.atoms
        if atoms.pbc.any():
            return None
        forces = case.subject.evaluate(atoms).forces
        return Found(float(np.abs(np.cross(atoms.positions, forces).sum(axis=0)).max()))

    # 2. On what: small structures of the zoo. The tier follows from the name.
    check = on_structures("inv.torque", "net torque", torque, among=partial(select, most=50))
    # 3. Its limit: a row of limits.toml, or here a value.
    limits = {"inv.torque": Limit(value=1e-4, unit="eV", source="policy: no cluster turns itself")}

    right = changed()
    wrong = changed(lambda atoms, result: {"forces": result.forces + atoms.positions[:, [1, 0, 2]]})
    for subject, expected in ((right, Verdict.PASS), (wrong, Verdict.FAIL)):
        context = fake_gate(subject)
        context = replace(context, workplace=context.workplace / expected)
        (result,) = run_checks(context, limits, checks=[check])
        assert result.verdict is expected
        assert (result.tier, result.measurement.structure) == (Tier.INVARIANTS, "molecule")


def run(check: Check, context, subject=None) -> list[Measurement]:
    return list(check.run(context, subject or context.candidate_subject))


def test_the_tier_is_in_the_name():
    def nothing(context, subject):
        return ()

    assert Check("smooth.something", "something", nothing).tier is Tier.DERIVATIVES
    with pytest.raises(M3CompressError, match=r"'magic\.thing' belongs to no tier") as caught:
        Check("magic.thing", "something", nothing)
    assert "artefact., inv., " in (caught.value.hint or "")


def test_structures_may_be_anything_with_a_name(fake_gate, pair_subject):
    context = fake_gate(pair_subject)
    entries = [SimpleNamespace(name=name, value=value) for name, value in (("a", 1), ("b", 3))]
    check = on_structures(
        "inv.it", "it", lambda case: Found(case.entry.value), among=lambda context, subject: entries
    )
    (found,) = run(check, context)
    assert (found.structure, found.value, found.evidence["values"]) == ("b", 3, {"a": 1, "b": 3})


def test_random_numbers_are_those_of_the_seed_and_the_structure(fake_gate, pair_subject):
    context = fake_gate(pair_subject)
    case = Case(context, pair_subject, context.zoo[0], 3)
    assert case.rng().random() == case.rng().random()
    others = [replace(case, number=4), replace(case, context=replace(context, seed=1))]
    assert all(case.rng().random() != other.rng().random() for other in others)


def test_a_reason_not_to_measure_comes_before_everything(fake_gate, pair_subject):
    def refuse(*arguments):
        raise AssertionError(arguments)

    check = on_structures(
        "inv.it", "it", refuse, among=refuse, unless=lambda context, subject: "it is Sunday"
    )
    assert run(check, fake_gate(pair_subject)) == [Measurement(skipped="it is Sunday")]


def test_predictions_without_such_a_statistic_are_skipped(fake_gate, pair_subject):
    context = fake_gate(pair_subject)
    none = on_predictions("parity.it", "it", lambda both: None, absent="nobody knows")
    assert run(none, context) == [Measurement(skipped="nobody knows")]
    (found,) = run(on_predictions("parity.it", "it", lambda both: Found(2.0, {"n": 1})), context)
    assert (found.value, found.evidence["n"]) == (2.0, 1)
    assert found.evidence["n_structures"] > 0


CRYSTALS = tuple(Named(name, Atoms("Si", cell=[3, 3, 3], pbc=True)) for name in ("a", "b", "c"))


def on_three_crystals(fake_gate, subject, compute):
    profile = replace(SMOKE, n_crystals=None)
    context = replace(fake_gate(subject), crystals=CRYSTALS, profile=profile)
    check = on_crystals(
        "prop.it",
        "it",
        lambda pair: Measurement(structure=pair.name, value=abs(pair.ours - pair.theirs)),
        compute=compute,
        group="relax",
    )
    return context, check


def test_every_crystal_is_compared_with_the_reference(fake_gate, pair_subject):
    def compute(context, subject, crystal):
        is_candidate = subject is context.candidate_subject
        if crystal.name == "c" or (crystal.name == "b" and is_candidate):
            raise StructureError(f"{crystal.name} melts")
        return 3.0 if is_candidate else 1.0

    context, check = on_three_crystals(fake_gate, pair_subject, compute)
    compared, one_failed, both_failed = run(check, context)
    assert (compared.structure, compared.value) == ("a", 2.0)
    assert (one_failed.structure, one_failed.error) == ("b", "candidate: b melts")
    assert both_failed.skipped == ("neither candidate nor reference has it; the reference: c melts")


def test_the_profile_says_which_properties_of_how_many_crystals(fake_gate, pair_subject):
    context, check = on_three_crystals(fake_gate, pair_subject, lambda *given: 1.0)
    two = replace(context, profile=replace(context.profile, n_crystals=2))
    assert [found.structure for found in run(check, two)] == ["a", "b"]
    (skipped,) = run(check, replace(context, profile=replace(SMOKE, properties=())))
    assert skipped.skipped == "the profile smoke does without relax"
    (absent,) = run(check, replace(context, crystals=()))
    assert absent.skipped == "there is no crystal to compare on"


def test_what_fails_on_one_sample_is_its_error_alone(fake_gate, pair_subject, monkeypatch):
    samples = [SimpleNamespace(sample=SimpleNamespace(name=name)) for name in ("a", "b")]
    monkeypatch.setattr(building, "runs_of", lambda context: samples)

    def measure(context, runs):
        yield Measurement(structure=runs.sample.name, value=1.0)
        if runs.sample.name == "a":
            raise ValueError("no second peak")

    found = run(on_samples("md.it", "it", measure), fake_gate(pair_subject))
    assert [(one.structure, one.value, one.error) for one in found] == [
        ("a", 1.0, None),
        ("a", None, "ValueError: no second peak"),
        ("b", 1.0, None),
    ]


def test_a_file_that_cannot_be_read_is_one_problem(fake_gate, pair_subject, tmp_path):
    def find(context, path):
        return count_problems([], size=len(path.read_bytes()))

    check = on_file("artefact.it", "it", find)
    context = fake_gate(pair_subject)
    assert run(check, context) == [Measurement(skipped="the candidate is not a file")]
    for name, expected in (("there", 0.0), ("missing", 1.0)):
        (tmp_path / "there").write_bytes(b"abc")
        spec = replace(pair_subject.spec, kind="artefact", path=str(tmp_path / name))
        (found,) = run(check, replace(context, candidate=spec))
        assert found.value == expected
    assert "missing" in found.evidence["problems"][0]
