"""Means, quantiles and distances over the same mix of seconds."""

from __future__ import annotations

import numpy as np
import pytest

from components.experiments import sequential
from components.experiments.canary import distances
from components.experiments.canary.mixes import Means, Mix, arms, averaged, geometric_mean, mixed, quantile
from components.experiments.sequential import Plan


def test_busy_seconds_do_not_tell_equal_versions_apart() -> None:
    """The champion has most of its requests in quiet hours, the challenger in busy ones."""
    mix = Mix([0.0, 0.0], [0.0, 0.0])
    mix = mixed(mix, np.array([990, 0]), np.array([10, 0]))
    mix = mixed(mix, np.array([0, 500]), np.array([0, 500]))
    assert mix.champion == mix.challenger == [10.0, 500.0]
    assert mixed(mix, np.array([0, 0]), np.array([5, 5])) == mix


def test_means_and_quantiles_of_counts() -> None:
    bounds = (1.0, 2.0, 4.0)
    assert geometric_mean([0, 10, 0, 0], bounds) == pytest.approx(2**0.5)
    assert quantile([0, 10, 10, 0], bounds, 0.5) == pytest.approx(2)
    assert quantile([0, 0, 0, 10], bounds, 1.0) == pytest.approx(8)


def outcomes(seed: int, worse: float, shares: tuple[float, ...] = (0.05, 0.25, 0.5)) -> Means:
    """Strata in which the good outcomes' share grows along with the challenger's."""
    source, means = np.random.default_rng(seed), Means()
    for step, share in enumerate(shares):
        good = 0.2 + 0.1 * step
        for _ in range(20):
            theirs = (source.random(int(400 * (1 - share))) < good).astype(float)
            own = (source.random(int(400 * share)) < good - worse).astype(float)
            means = averaged(means, theirs, own)
    return means


def test_growing_shares_are_no_simpsons_paradox() -> None:
    champion, challenger = arms(outcomes(1, 0.0))
    assert champion.mean == pytest.approx(challenger.mean, abs=0.015)
    assert challenger.mean > 0.33  # most of its requests come late
    assert champion.n < 10_000  # of 17,600


def test_sequences_of_strata_hold_their_level() -> None:
    plan = Plan(level=0.05, units=10_000, burn_in=100, side="less")
    found = [sequential.sequence(*arms(outcomes(seed, 0.0)), plan).evidence >= 20 for seed in range(60)]
    assert sum(map(bool, found)) <= 7
    assert sequential.sequence(*arms(outcomes(1, 0.05)), plan).evidence > 20


def test_distances() -> None:
    assert distances.kolmogorov(np.array([5, 5]), np.array([0, 10])) == 0.5
    assert distances.kolmogorov(np.array([0, 0]), np.array([0, 10])) == 0
    many = np.array([50_000, 50_000])
    assert 0.4 < distances.at_least(many, np.array([0, 10_000]), 0.05) < 0.5
    assert distances.at_least(many, np.array([5, 5]), 0.05) == 0
    assert distances.radius(0, 0.05) == 1


def test_the_radius_holds_at_all_looks() -> None:
    misses = 0
    for seed in range(60):
        values = np.random.default_rng(seed).random(2_000)
        for n in (1, 3, 10, 30, 100, 300, 1_000, 2_000):
            seen = np.sort(values[:n])
            off = max(np.abs(np.arange(1, n + 1) / n - seen).max(), np.abs(np.arange(n) / n - seen).max())
            misses += off > distances.radius(n, 0.05)
    assert misses <= 7
