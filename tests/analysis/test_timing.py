"""Candidates whose cost is known, timed side by side."""

from __future__ import annotations

import known_costs as costs
import numpy as np
import pytest
from ase.build import bulk

from m3compress.analysis.timing import PeakMemory, time_in_turn
from m3compress.errors import M3CompressError


def test_clock_and_processor_are_told_apart() -> None:
    sleeper, worker = time_in_turn(
        [costs.Work(asleep=0.2), costs.Work(awake=0.1)], bulk("Si"), 3, patience=120
    )
    assert len(sleeper.seconds) == len(sleeper.cpu_seconds) == 3
    assert min(sleeper.seconds) >= 0.2
    assert max(sleeper.cpu_seconds) < 0.1
    assert min(worker.cpu_seconds) >= 0.1
    assert min(worker.seconds) > 0.05


def test_what_takes_too_long_is_timed_once() -> None:
    (cost,) = time_in_turn([costs.Work(asleep=0.1)], bulk("Si"), 50, enough=0.0)
    assert len(cost.seconds) == 1


def test_memory_is_that_of_a_step_above_what_was_held_before() -> None:
    light, heavy = time_in_turn(
        [
            costs.Work(loading=300, kept=50, megabytes=100),
            costs.Work(loading=50, kept=300, megabytes=200),
        ],
        bulk("Si"),
        2,
    )
    # What loading needed and what is kept counts for nobody.
    assert 95 < light.peak_bytes / costs.MEGABYTE < 115
    assert 195 < heavy.peak_bytes / costs.MEGABYTE < 215


def test_a_step_moves_the_atoms_and_leaves_the_callers_alone() -> None:
    atoms = bulk("Si")
    time_in_turn([costs.Work()], atoms, 1)
    np.testing.assert_array_equal(atoms.positions, bulk("Si").positions)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("does not open", "the faulty one could not be timed: ValueError: no such model"),
        ("does not run", "the faulty one could not be timed: ValueError: no such element"),
        ("dies", "the faulty one died while it was timed"),
        ("hangs", "a step of the faulty one took more than 10 s"),
    ],
)
def test_who_failed_is_named(how: str, message: str) -> None:
    with pytest.raises(M3CompressError, match=message):
        time_in_turn([costs.Work(), costs.Faulty(how)], bulk("Si"), 1, patience=10)


def test_without_a_kernel_that_forgets_its_peak_what_follows_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("m3compress.analysis.timing._resident", {"VmHWM": 7, "VmRSS": 5}.get)
    assert PeakMemory().bytes() == 2
    monkeypatch.setattr("pathlib.Path.write_text", _refuse)
    assert PeakMemory().bytes() == 0


def _refuse(*_: object, **__: object) -> int:
    raise PermissionError
