"""Two arms of replicas with a known difference and known, correlated noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from m3compress.analysis.observables.distances import rdf_error
from m3compress.analysis.statistics.arms import (
    Comparison,
    compare_curves,
    compare_paired_curves,
    compare_pairs,
    mean_with_interval,
)

N_TRIALS, N_REPLICAS, N_FRAMES, N_BINS = 150, 4, 240, 60
R = np.linspace(0.1, 6, N_BINS)
TRUE = 1 + 2 * np.exp(-(((R - 2) / 0.3) ** 2)) - np.exp(-R)
#: What a drift does to the curve: 1 % in rdf_error.
DRIFT = np.sin(3 * R)
DRIFT = DRIFT * np.abs(TRUE - 1).sum() / np.abs(DRIFT).sum() / 100


def noise(rng, *shape, correlation=0.9):
    """Stationary autoregressive noise of unit variance along the first axis."""
    white = rng.normal(size=shape) * math.sqrt(1 - correlation**2)
    white[0] /= math.sqrt(1 - correlation**2)
    return lfilter([1], [1, -correlation], white, axis=0)


def arm(rng, drift=0.0):
    """Replicas of curves whose bins fluctuate together in six patterns, and each by itself."""
    patterns = np.sin(np.outer(np.arange(1, 7), R))
    return [
        TRUE
        + drift * DRIFT
        + 0.03 * noise(rng, N_FRAMES, 6) @ patterns
        + 0.06 * rng.normal(size=(N_FRAMES, N_BINS))
        for _ in range(N_REPLICAS)
    ]


def distance(g, target):
    return rdf_error(R, g, target)


def trials(drift):
    found = []
    for seed in range(N_TRIALS):
        rng = np.random.default_rng([seed, 7])
        found.append(compare_curves(arm(rng, drift), arm(rng), distance, seed))
    return found


@pytest.fixture(scope="module")
def equal() -> list[Comparison]:
    return trials(0.0)


def test_without_a_difference_the_interval_ends_near_the_floor(equal):
    # Noise of six patterns may hide a difference of one sign of its own size.
    below = [found.interval[1] < 2.5 * found.floor for found in equal]
    assert np.mean(below) >= 0.9
    assert np.mean([found.interval[0] <= 0.5 * found.floor for found in equal]) >= 0.9
    for found in equal:
        assert 0 <= found.interval[0] <= found.value <= found.interval[1]


def test_the_floor_is_the_noise_that_is_there(equal):
    # Without a difference, what is observed is noise: the floor must be of its size.
    observed = np.sqrt(np.mean([found.observed**2 for found in equal]))
    assert np.mean([found.floor for found in equal]) == pytest.approx(observed, rel=0.2)


def test_a_large_difference_is_seen_every_time(equal):
    size = 5 * np.mean([found.floor for found in equal])
    found = trials(size)
    assert np.mean([one.interval[0] > one.floor for one in found]) >= 0.99
    assert np.mean([one.value for one in found]) == pytest.approx(size, rel=0.1)


@pytest.mark.parametrize("factor", [1.5, 3.0])
def test_the_interval_covers_an_intermediate_difference(equal, factor):
    size = factor * np.mean([found.floor for found in equal])
    covered = [one.interval[0] <= size <= one.interval[1] for one in trials(size)]
    assert np.mean(covered) >= 0.8


def test_power_is_what_can_be_told_from_nothing(equal):
    size = np.mean([found.power for found in equal])
    assert np.mean([found.interval[1] for found in equal]) < 1.5 * size
    assert np.mean([one.interval[0] > 0 for one in trials(1.5 * size)]) >= 0.8


def test_replicas_that_disagree_raise_the_floor():
    # Slow motions: each replica is stuck somewhere else, which its own blocks cannot know.
    rng = np.random.default_rng(0)
    stuck = [arm(rng)[0] + 30 * rng.normal() * DRIFT for _ in range(2 * N_REPLICAS)]
    found = compare_curves(stuck[:4], stuck[4:], distance)
    assert found.floor > 5 * compare_curves(arm(rng), arm(rng), distance).floor
    assert found.interval[0] < found.floor


def test_a_seed_repeats_exactly():
    rng = np.random.default_rng(0)
    sides = arm(rng, 1.0), arm(rng)
    assert compare_curves(*sides, distance, 3) == compare_curves(*sides, distance, 3)
    assert compare_curves(*sides, distance, 3) != compare_curves(*sides, distance, 4)


def test_a_single_frame_proves_nothing():
    with pytest.raises(ValueError, match="a single frame"):
        compare_curves([TRUE[None]], [TRUE[None] + DRIFT], distance)
    with pytest.raises(ValueError, match="a single frame"):
        compare_pairs([np.array([3.2])], [np.array([2.0])], 0.02)
    one = compare_pairs([np.arange(3.0)], [np.arange(3.0)])
    assert one.value == 0


@pytest.mark.parametrize("difference", [0.0, 0.3])
def test_the_interval_of_a_mean_covers_the_truth(difference):
    covered, single = [], []
    for seed in range(400):
        rng = np.random.default_rng([seed, 1])
        a, b = ([noise(rng, N_FRAMES) for _ in range(N_REPLICAS)] for _ in range(2))
        found = compare_pairs([x + difference for x in a], b, scale=0.5)
        covered.append(found.interval[0] <= difference / 0.5 <= found.interval[1])
        mean, low, high = mean_with_interval(a)
        assert low <= mean <= high
        single.append(low <= 0 <= high)
    assert 0.9 <= np.mean(covered) <= 1.0
    assert 0.88 <= np.mean(single) <= 1.0


def test_means_are_compared_in_the_given_unit():
    rng = np.random.default_rng(0)
    a, b = [rng.normal(5, 0.01, 100)], [rng.normal(4, 0.01, 100)]
    assert compare_pairs(a, b, scale=0.04).value == pytest.approx(25, rel=0.01)
    # Not the sign, only the size.
    assert compare_pairs(b, a, scale=0.04).value == compare_pairs(a, b, scale=0.04).value


def sharing(rng, common, drift=0.0):
    """Two arms of which each replica has a share of its noise in common with its partner."""
    first, second, shared = arm(rng), arm(rng), arm(rng)
    mix = math.sqrt(common), math.sqrt(1 - common)

    def mixed(own, drift):
        pairs = zip(shared, own, strict=True)
        return [TRUE + drift * DRIFT + mix[0] * (s - TRUE) + mix[1] * (o - TRUE) for s, o in pairs]

    return mixed(first, drift), mixed(second, 0.0)


@pytest.mark.parametrize("common", [0.0, 0.9])
def test_pairs_are_covered_whatever_they_share(common):
    covered, floors = [], []
    for seed in range(60):
        sides = sharing(np.random.default_rng([seed, 3]), common, drift=1.0)
        found = compare_paired_curves(*sides, distance, seed)
        covered.append(found.interval[0] <= 1.0 <= found.interval[1])
        floors.append(found.floor)
    assert np.mean(covered) >= 0.93
    apart = compare_curves(*sharing(np.random.default_rng(3), 0.0), distance).floor
    assert np.mean(floors) == pytest.approx(apart * math.sqrt(1 - common), rel=0.35)


def test_pairs_need_partners():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="zip"):
        compare_paired_curves(arm(rng), arm(rng)[:-1], distance)
