"""How long a run will take, told before it starts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from m3compress.contract.teacher import Teacher
from m3compress.engines.dynamics.run import STATE, claim_folder
from m3compress.models.structures.frames import Named
from m3compress.validate import gate
from m3compress.validate.checks.runs import plan
from m3compress.validate.setup.estimate import estimate_seconds, in_words


@pytest.fixture
def dynamics(make_context, artefact_spec, silica_zoo):
    """``dynamics(**changes)``: a gate with little but molecular dynamics of one small crystal."""
    crystal = next(named for named in silica_zoo if named.atoms.pbc.all())

    def make(**changes):
        context = make_context(artefact_spec, zoo=(), samples=(Named(crystal.name, crystal.atoms),))
        return replace(context, **changes)

    return make


def test_more_steps_take_longer_and_more_processes_do_not(dynamics):
    context = dynamics()
    once = estimate_seconds(context)
    longer = replace(context.profile, duration=50 * context.profile.duration)
    assert estimate_seconds(replace(context, profile=longer)) > 5 * once > 0
    assert estimate_seconds(replace(context, n_workers=8)) < once / 2


def done(context):
    """The same gate when all of its dynamics has run."""
    for job in plan(context).values():
        folder = claim_folder(job, context.trajectories)
        np.savez(folder / STATE, step=job.total_steps)
    return context


def test_what_is_done_is_not_counted(dynamics):
    assert estimate_seconds(done(dynamics())) == 0


def test_what_a_teacher_is_asked_about_trajectories_is_counted(dynamics, artefact_spec):
    teacher = Teacher(
        name="itself",
        spec=artefact_spec,
        sha256="0",
        precision="float32",
        cutoff=5.0,
        has_atom_energies=True,
        facts={},
    )
    assert estimate_seconds(done(dynamics(teacher=teacher))) > 0


def test_comparisons_on_all_elements_and_sizes_are_counted(dynamics, builtin_spec):
    context = replace(dynamics(), samples=())
    assert estimate_seconds(context) == 0
    assert estimate_seconds(replace(context, twin=builtin_spec)) > 0


def test_the_threads_of_the_process_are_left_as_they_were(dynamics):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        estimate_seconds(dynamics())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "5 s"),
        (33.0, "35 s"),
        (149.0, "150 s"),
        (170.0, "3 min"),
        (205.0, "3.5 min"),
        (1000.0, "17 min"),
        (6360.0, "106 min"),
        (7190.0, "2 h"),
        (20_000.0, "5.6 h"),
    ],
)
def test_a_time_is_told_in_units_of_its_size(seconds, words):
    assert in_words(seconds) == words


def test_what_is_told_is_within_a_tenth_or_five_seconds():
    for seconds in np.geomspace(10, 36_000, 20_000):
        number, unit = in_words(seconds).split()
        told = float(number) * {"s": 1, "min": 60, "h": 3600}[unit]
        assert abs(told - seconds) <= max(5, 0.1 * seconds)


@pytest.mark.parametrize(("whole", "about"), [(True, "; about "), (False, "; up to about ")])
def test_a_run_that_may_stop_early_says_so(dynamics, monkeypatch, whole, about):
    monkeypatch.setattr(gate, "estimate_seconds", lambda context: 33.0)
    assert f"{about}35 s with 1 process" in gate.describe_run(dynamics(), whole=whole)
