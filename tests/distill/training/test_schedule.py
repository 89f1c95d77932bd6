"""Learning rates over a training."""

from __future__ import annotations

import pytest

from m3compress.distill.training.schedule import Schedule

SCHEDULE = Schedule(epochs=100, learning_rate=1e-2, warm_up=0.1)


def test_the_rate_rises_to_its_peak_and_falls_to_almost_nothing():
    rates = [SCHEDULE.rate(step / 1000) for step in range(1001)]
    peak = rates.index(max(rates))
    assert 0 < rates[0] < 1e-4
    assert peak == pytest.approx(100, abs=2)
    assert rates[peak] == pytest.approx(1e-2, rel=0.05)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(5e-5)


def test_without_minutes_the_clock_does_not_count():
    assert SCHEDULE.progress(50, 1e9) == 0.5


def test_with_minutes_whichever_is_further_on_counts():
    timed = Schedule(epochs=100, minutes=10, learning_rate=1e-2)
    assert timed.progress(50, 60) == 0.5
    assert timed.progress(5, 540) == 0.9
