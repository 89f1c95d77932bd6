"""What a report says beside its numbers."""

from __future__ import annotations

from dataclasses import replace

from m3compress.api import load_potential
from m3compress.models.student_record import STUDENT
from m3compress.validate.record import _changed_options, _decided_by, _not_checked, _notes
from m3compress.validate.result import CheckResult, Limit, Measurement, Tier, judge
from m3compress.validate.setup.profiles import SMOKE
from m3compress.validate.setup.subject import TrainedModel


def result(name: str, value: float, subject: str = "reference") -> CheckResult:
    limit = Limit(value=1e-4, unit="eV/Å", source="a test")
    measurement = Measurement(value=value)
    return CheckResult(
        id=name,
        tier=Tier.INVARIANTS,
        subject=subject,
        measures="something",
        limit=limit,
        verdict=judge(measurement, limit),
        measurement=measurement,
    )


def test_a_reference_that_breaks_permutation_symmetry_is_told_in_one_note():
    broken = [result("inv.permutation", 5.5e-4), result("inv.energy", 1e-3)]
    (note,) = _notes([*broken, result("inv.rotation", 1e-6)])
    assert "inv.permutation (0.00055 eV/Å), inv.energy (0.001 eV/Å)" in note
    assert "inv.rotation" not in note
    assert "no evidence that the block can be removed" in note


def test_of_several_failures_of_one_check_the_worst_is_named():
    (note,) = _notes([result("inv.rotation", value) for value in (2e-4, 9e-4, 3e-4)])
    assert note == "the reference itself fails inv.rotation (0.0009 eV/Å)"


def test_other_failures_of_the_reference_are_told_without_a_cause():
    (note,) = _notes([result("inv.rotation", 5.5e-4)])
    assert "triplets" not in note


def test_a_sound_reference_is_not_mentioned():
    assert _notes([result("inv.permutation", 1e-6)]) == ()
    assert _notes([result("inv.permutation", 1.0, subject="artefact")]) == ()


def test_options_that_differ_from_the_profile_are_told():
    assert _changed_options(SMOKE) == ()
    changed = _changed_options(replace(SMOKE, duration=0.3, timestep=0.5))
    assert [(one.name, one.value, one.shipped) for one in changed] == [
        ("timestep", 0.5, None),
        ("duration", 0.3, 0.1),
    ]


def test_how_the_convention_was_found():
    assert _decided_by({"decided_by": "user", "reason": "given"}) == "user: given"
    assert _decided_by({}) == "format: it leaves no choice"


def test_what_a_student_was_not_compared_with_is_told(make_context, artefact_spec, builtin_spec):
    context = make_context(artefact_spec)
    assert not any("--teacher" in line for line in _not_checked(context, []))
    potential = load_potential(builtin_spec.path)
    origin = replace(potential.provenance, record={STUDENT: {}})
    copied = TrainedModel(builtin_spec, replace(potential, provenance=origin))
    context.__dict__["reference_subject"] = copied
    assert any("--teacher" in line for line in _not_checked(context, []))
