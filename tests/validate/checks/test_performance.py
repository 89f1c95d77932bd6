"""The performance tier: ratios of time and memory, measured in processes of their own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ase.build import bulk

from m3compress.errors import M3CompressError
from m3compress.models.structures.crystals import known_crystals
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.performance import CHECKS
from m3compress.validate.result import Verdict
from m3compress.validate.setup.profiles import CI

SILICON = Named("Si", bulk("Si", a=5.43))


def test_profiles_may_do_without(make_context, builtin_spec, run_check):
    context = make_context(builtin_spec, samples=(SILICON,))
    for check in CHECKS:
        verdict, found = run_check(CHECKS, check.id, context, None)
        assert verdict is Verdict.SKIPPED
        assert "smoke" in found.skipped


def test_nothing_is_timed_without_a_crystal(make_context, builtin_spec, run_check):
    context = make_context(builtin_spec, profile=CI)
    assert run_check(CHECKS, "perf.speed", context, None)[0] is Verdict.SKIPPED


def test_a_file_costs_less_than_the_model_and_decides_nothing(
    make_context, artefact_spec, run_check
):
    quartz = next(c for c in known_crystals(("O", "Si")) if c.name == "SiO2-quartz")
    context = make_context(artefact_spec, samples=(Named(quartz.name, quartz.atoms),), profile=CI)
    verdict, speed = run_check(CHECKS, "perf.speed", context, context.candidate_subject)
    assert verdict is Verdict.PASS
    assert 0.1 < speed.value < 1.5
    assert 100 < speed.evidence["n_atoms"] <= 200
    assert len(speed.evidence["ratios"]) == speed.evidence["rounds"]
    verdict, memory = run_check(CHECKS, "perf.memory", context, context.candidate_subject)
    assert verdict is Verdict.PASS
    assert 0 < memory.value < 1
    assert 10 < memory.evidence["megabytes"] < memory.evidence["reference_megabytes"] < 2000


def test_a_model_that_cannot_be_opened_is_named(make_context, builtin_spec, run_check):
    gone = replace(builtin_spec, path="/nowhere/model.pt", name="candidate")
    context = make_context(gone, samples=(SILICON,), profile=CI)

    class Opened:
        spec = gone

    with pytest.raises(M3CompressError, match="candidate could not be timed"):
        run_check(CHECKS, "perf.speed", context, Opened())
