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
