"""The ratio of two sums, where its truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from m3compress.analysis.statistics.ratios import ratio_of_means, ratio_of_sums


@pytest.mark.parametrize("spread", [0.3, 0.8, 1.2])
@pytest.mark.parametrize("n", [2, 3, 5, 20, 200])
def test_few_samples_are_covered_as_many_are(n, spread):
    """Resampled with replacement, three frames were covered in three of four cases."""
    rng = np.random.default_rng(n)
    covered = []
    for _ in range(1000):
        theirs = np.exp(spread * rng.normal(size=n))
        ratio, (low, high) = ratio_of_sums(theirs * (1 + 0.05 * rng.normal(size=n)), theirs)
        assert low <= ratio <= high
        covered.append(low <= 1 <= high)
    assert 0.93 <= np.mean(covered) <= 0.985


def test_a_ratio_that_is_the_same_in_all_samples_is_known():
    theirs = np.array([0.1, 3.0, 20.0])
    ratio, interval = ratio_of_sums(1.1 * theirs, theirs)
    assert ratio == pytest.approx(1.1)
    assert interval == pytest.approx((1.1, 1.1))


@pytest.mark.parametrize("theirs", [[2.0], [2.0, 0.0, 0.0]], ids=["one", "one that counts"])
def test_a_single_sample_has_no_interval(theirs):
    assert ratio_of_sums(np.ones(len(theirs)), np.array(theirs)) == (len(theirs) / 2, None)


@pytest.mark.parametrize(
    ("ours", "theirs"), [([1.0], [1.0, 2.0]), ([1.0], [0.0]), ([1.0], [np.nan]), ([], [])]
)
def test_what_has_no_ratio_is_refused(ours, theirs):
    with pytest.raises(ValueError, match="positive sum"):
        ratio_of_sums(np.array(ours), np.array(theirs))


@pytest.mark.parametrize("n_replicas", [3, 4, 5])
def test_an_error_is_covered_with_the_noise_of_what_it_is_compared_with(n_replicas):
    """Without it, some intervals of scalars that replicas never forget were too short."""
    rng = np.random.default_rng(n_replicas)
    covered = []
    for _ in range(1500):
        theirs = [np.full(10, 1 + 0.1 * rng.normal()) for _ in range(n_replicas)]
        mine = [(0.5 + 0.02 * rng.normal()) * one for one in theirs]
        _, low, high = ratio_of_means(mine, theirs)
        covered.append(low <= 0.5 <= high)
    assert 0.93 <= np.mean(covered) <= 0.985
