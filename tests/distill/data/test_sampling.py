"""Settings of a plan: ladders of temperatures, and amounts that leave no split empty."""

from __future__ import annotations

import pytest

from m3compress.distill.data.sampling import Amounts, Sampling, between, ladder
from m3compress.errors import M3CompressError


def test_ladders_and_what_is_between_their_rungs():
    assert ladder(300, 1200) == (300, 600, 900, 1200) == Sampling().temperatures
    assert between(ladder(300, 1200)) == [450, 750, 1050]
    assert between([900, 300]) == [600]
    assert between([300]) == [300]


@pytest.mark.parametrize("temperatures", [(), (0.0,), (-300.0, 300.0), (float("nan"),)])
def test_temperatures_are_positive(temperatures):
    with pytest.raises(M3CompressError, match="temperatures"):
        Sampling(temperatures=temperatures)


@pytest.mark.parametrize("split", ["trajectory", "validation", "test"])
def test_no_split_is_empty(split):
    with pytest.raises(M3CompressError, match="needs trajectories"):
        Sampling(amounts=Amounts(**{split: 0}))


def test_frames_that_take_one_evaluation_are_given_up_last():
    amounts = Amounts(distorted=200, trajectory=400, validation=20, test=80, compressed=10, pairs=0)
    half, little = amounts.scaled(0.5), amounts.scaled(0.02)
    assert (half.trajectory, half.validation, half.test) == (200, 10, 40)
    assert (half.distorted, half.compressed, half.close) == (200, 10, amounts.close)
    assert (little.trajectory, little.validation, little.test) == (8, 1, 2)
    assert (little.distorted, little.compressed, little.pairs) == (20, 1, 0)
    assert amounts.scaled(1.0) == amounts
