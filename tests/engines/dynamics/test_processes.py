"""Processes side by side: whose time they spend."""

from __future__ import annotations

import os

from ase import Atoms
from known_costs import Work

from m3compress.engines.dynamics.processes import worker_processes


def children_seconds() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system


def test_the_time_of_processes_that_are_done_is_counted():
    before = children_seconds()
    with worker_processes(1) as executor:
        executor.submit(Work(awake=0.3).evaluate, Atoms()).result()
    assert children_seconds() - before >= 0.3
