"""Results that several checks share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from m3compress.validate.setup.recall import recall, twin_of


def test_a_result_is_computed_once_for_each_subject_and_gate(make_context, builtin_spec):
    context, calls = make_context(builtin_spec), []

    def make():
        calls.append(None)
        return len(calls)

    one, other = object(), object()
    assert [recall(context, one, ("x",), make), recall(context, one, ("x",), make)] == [1, 1]
    assert recall(context, other, ("x",), make) == 2
    assert recall(context, one, ("y",), make) == 3
    # Another zoo, another result: a changed copy of a gate starts with an empty memory.
    assert recall(replace(context, seed=1), one, ("x",), make) == 4


def test_a_failure_is_raised_every_time_and_met_once(make_context, builtin_spec):
    context, calls = make_context(builtin_spec), []

    def make():
        calls.append(None)
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            recall(context, None, ("x",), make)
    assert len(calls) == 1


def test_a_twin_of_the_same_form_is_the_reference(make_context, builtin_spec):
    same = make_context(builtin_spec, twin=replace(builtin_spec, name="twin"))
    assert twin_of(same) is same.reference_subject
    other = make_context(builtin_spec, twin=replace(builtin_spec, name="twin", form="removed"))
    assert twin_of(other) is other.twin_subject is not other.reference_subject
    assert twin_of(make_context(builtin_spec)) is None
