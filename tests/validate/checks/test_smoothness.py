"""Jumps at the cutoffs: none in a smooth model, and of the right size where there are some."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from m3compress.validate.checks.smoothness import CHECKS
from m3compress.validate.result import Verdict

IDS = [check.id for check in CHECKS]


@pytest.mark.parametrize("name", IDS)
def test_a_right_model_passes(name, pair_subject, fake_gate, run_check):
    verdict, found = run_check(CHECKS, name, fake_gate(pair_subject), pair_subject)
    assert verdict is Verdict.PASS
    assert found.value < 1e-4
    crossed = found.evidence["values"]
    assert any(place.endswith("(edges)") for place in crossed)
    assert any(place.endswith("(three-body)") for place in crossed)


def truncated(r):
    """A potential that is cut off at −0.02 eV, as a pair list without a shift does."""
    return np.full_like(r, -0.02), np.zeros_like(r)


def kinked(r):
    """Zero at the cutoff with a slope, as a Bessel function without an envelope is."""
    return 0.5 * (1 - r / 5.0), np.full_like(r, -0.1)


def stepped(r):
    """A step at the three-body cutoff."""
    return np.where(r < 4.0, 0.01, 0.0), np.zeros_like(r)


@pytest.mark.parametrize(
    ("phi", "energy_jump", "force_jump", "place"),
    [
        (truncated, 0.02, 0.0, "(edges)"),
        (kinked, 0.0, 0.1, "(edges)"),
        (stepped, 0.01, 0.0, "(three-body)"),
    ],
)
def test_jumps_have_the_right_size(
    phi, energy_jump, force_jump, place, with_phi, fake_gate, run_check
):
    subject = with_phi(phi)
    context = fake_gate(subject)
    # All pairs of atoms i-j give φ once: half of it to each of the two.
    for name, jump in zip(IDS, (energy_jump, force_jump), strict=True):
        verdict, found = run_check(CHECKS, name, context, subject)
        assert verdict is (Verdict.FAIL if jump else Verdict.PASS)
        # A random direction shares a jump among its components.
        least = jump / np.sqrt(3) if name == "smooth.cutoff-force" else jump
        assert least - 1e-6 <= found.value <= jump + 1e-6
        if jump:
            assert found.structure.endswith(place)


def kinked_more(r):
    value, slope = kinked(r)
    return 1.05 * value, 1.05 * slope


def kinked_the_other_way(r):
    value, slope = kinked(r)
    return -value, -slope


@pytest.mark.parametrize(
    ("phi", "expected", "excess"),
    [(kinked, Verdict.PASS, 0.0), (kinked_more, Verdict.FAIL, 0.05)],
)
def test_what_the_reference_shows_is_no_fault_of_the_file(
    phi, expected, excess, with_phi, make_context, small_zoo, run_check
):
    reference, subject = with_phi(kinked), with_phi(phi)
    context = make_context(subject.spec, reference.spec, zoo=small_zoo)
    verdict, found = run_check(CHECKS, "smooth.cutoff-force", context, subject)
    assert verdict is expected
    assert found.value == pytest.approx(excess * found.evidence["jump_of_reference"], abs=1e-6)
    assert found.evidence["jump"] > 0.05


def test_a_jump_of_the_same_size_elsewhere_is_not_hidden(
    with_phi, make_context, small_zoo, run_check
):
    reference, subject = with_phi(kinked), with_phi(kinked_the_other_way)
    context = make_context(subject.spec, reference.spec, zoo=small_zoo)
    verdict, found = run_check(CHECKS, "smooth.cutoff-force", context, subject)
    assert verdict is Verdict.FAIL
    assert found.value == pytest.approx(found.evidence["jump_of_reference"])


@pytest.mark.parametrize(
    ("phi", "of_twin", "expected"),
    [
        # Without its three-body block a model has another kink than with it.
        (kinked_the_other_way, kinked_the_other_way, Verdict.PASS),
        (kinked_more, kinked_more, Verdict.FAIL),  # the form itself is worse than the reference
        (kinked, kinked_the_other_way, Verdict.FAIL),  # the file has not the kink of its form
    ],
)
def test_a_file_shows_the_jump_of_its_form_and_none_larger_than_the_reference(
    phi, of_twin, expected, with_phi, opened_spec, make_context, small_zoo, run_check
):
    reference, twin = (opened_spec(with_phi(each)) for each in (kinked, of_twin))
    subject = with_phi(phi)
    context = make_context(subject.spec, reference, twin=twin, zoo=small_zoo)
    assert run_check(CHECKS, "smooth.cutoff-force", context, subject)[0] is expected


def test_the_reference_is_shown_as_it_is(with_phi, make_context, small_zoo, run_check):
    reference = with_phi(kinked)
    context = make_context(reference.spec, reference.spec, zoo=small_zoo)
    subject = context.reference_subject
    assert run_check(CHECKS, "smooth.cutoff-force", context, subject)[0] is Verdict.FAIL


@pytest.mark.parametrize("name", IDS)
def test_the_exported_file_passes(name, artefact_spec, make_context, run_check):
    context = make_context(artefact_spec)
    assert run_check(CHECKS, name, context, context.candidate_subject)[0] is Verdict.PASS


@pytest.mark.parametrize("name", IDS)
def test_misrouted_triplets_jump(name, builtin_spec, make_context, run_check):
    spec = replace(builtin_spec, form="misrouted")
    context = make_context(spec)
    verdict, found = run_check(CHECKS, name, context, context.candidate_subject)
    assert verdict is Verdict.FAIL
    assert found.value > 0.1
