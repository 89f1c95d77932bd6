"""Whatever a model raises becomes a reason; an interrupt does not."""

from __future__ import annotations

import pytest

from m3compress.errors import StructureError
from m3compress.validate.checks.attempt import Failure, attempt, gather


def failing(error):
    raise error


def test_what_works_is_given_back():
    assert attempt(divmod, 7, 2) == (3, 1)
    assert gather(range, 3) == ([0, 1, 2], None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StructureError("no atoms", hint="give some"), "no atoms (hint: give some)"),
        (ValueError("no good"), "ValueError: no good"),
        (MemoryError(), "MemoryError: "),
    ],
)
def test_what_fails_says_why(error, reason):
    assert attempt(failing, error) == Failure(reason)


def test_what_came_before_a_failure_is_kept():
    def two_of_three():
        yield from (1, 2)
        raise RuntimeError("tired")

    assert gather(two_of_three) == ([1, 2], Failure("RuntimeError: tired"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_passes_through(error):
    with pytest.raises(error):
        attempt(failing, error())
    with pytest.raises(error):
        gather(failing, error())
