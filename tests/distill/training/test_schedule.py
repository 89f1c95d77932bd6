"""Learning rates over a training."""

from __future__ import annotations

import pytest

from m3compress.distill.training.schedule import Schedule, steps_of

SCHEDULE = Schedule(steps=1000, learning_rate=1e-2, warm_up=0.1)


def test_the_rate_rises_to_its_peak_and_falls_to_almost_nothing():
    rates = [SCHEDULE.rate(step) for step in range(1001)]
    peak = rates.index(max(rates))
    assert 0 < rates[0] < 1e-4
    assert peak == pytest.approx(100, abs=2)
    assert rates[peak] == pytest.approx(1e-2, rel=0.05)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(5e-5)


def test_no_batch_of_an_epoch_is_smaller_than_the_others_are_meant_to_be():
    assert steps_of(3, n_frames=10, batch_size=4) == 6
