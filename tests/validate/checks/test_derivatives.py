"""Forces and virial against scipy, and what is no derivative."""

from __future__ import annotations

import numpy as np
import pytest

from m3compress.validate.checks.derivatives import CHECKS
from m3compress.validate.result import Tier, Verdict
from m3compress.validate.setup.limits import read_limits


def test_every_limit_has_its_check():
    ids = sorted(check.id for check in CHECKS)
    assert ids == sorted(n for n in read_limits("ci") if n.startswith(("grad.", "smooth.")))
    assert {check.tier for check in CHECKS} == {Tier.DERIVATIVES}


@pytest.mark.parametrize("name", ["grad.forces", "grad.stress"])
def test_a_right_model_passes(name, pair_subject, fake_gate, run_check):
    verdict, found = run_check(CHECKS, name, fake_gate(pair_subject), pair_subject)
    assert verdict is Verdict.PASS
    assert found.evidence["measured"] < 1e-5
    assert len(found.evidence["values"]) >= 2


def softened(atoms, result):
    return {"forces": 0.95 * result.forces}


def one_atom_wrong(atoms, result):
    forces = result.forces.copy()
    forces[-1] *= 1.1
    return {"forces": forces}


def with_wrong_sign(atoms, result):
    return {"virial": -result.virial}


def without_shear(atoms, result):
    return {"virial": np.diag(np.diag(result.virial))}


@pytest.mark.parametrize(
    ("name", "change", "kept"),
    [
        ("grad.forces", softened, "grad.stress"),
        ("grad.forces", one_atom_wrong, "grad.stress"),
        ("grad.stress", with_wrong_sign, "grad.forces"),
        ("grad.stress", without_shear, "grad.forces"),
    ],
)
def test_what_is_no_derivative_fails(name, change, kept, changed, fake_gate, run_check):
    broken = changed(change)
    context = fake_gate(broken)
    assert run_check(CHECKS, name, context, broken)[0] is Verdict.FAIL
    assert run_check(CHECKS, kept, context, broken)[0] is Verdict.PASS


def test_a_factor_is_measured_as_it_is(changed, fake_gate, run_check):
    broken = changed(softened)
    _, found = run_check(CHECKS, "grad.forces", fake_gate(broken), broken)
    # (1 − 0.95) / 0.95 along all forces: the error is relative to what the model gives.
    assert found.evidence["measured"] == pytest.approx(0.05 / 0.95, rel=0.01)


def test_a_kink_at_the_cutoff_is_no_wrong_force(with_phi, fake_gate, run_check):
    def kinked(r):
        return 3.0 * (1 - r / 5.0), np.full_like(r, -3.0 / 5.0)

    subject = with_phi(kinked)
    for name in ("grad.forces", "grad.stress"):
        verdict, found = run_check(CHECKS, name, fake_gate(subject), subject)
        assert verdict is Verdict.PASS
        assert found.evidence["measured"] < 1e-4


@pytest.mark.parametrize("name", ["grad.forces", "grad.stress"])
def test_the_exported_file_passes(name, artefact_spec, make_context, run_check):
    context = make_context(artefact_spec)
    assert run_check(CHECKS, name, context, context.candidate_subject)[0] is Verdict.PASS
