"""Bets hold their level whatever happens in a second, and see failures, also late ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import hypergeom

from components.experiments.canary import bets as betting
from components.experiments.canary.bets import EPOCH, ODDS, Bets

LEVEL = 0.05


def test_a_stake_is_one_on_average() -> None:
    """Over all ways to draw a second's requests: the exact expectation."""
    for total, drawn, marked in ((40, 3, 5), (40, 20, 20), (9, 1, 9), (9, 8, 1)):
        shares = hypergeom(total, marked, drawn)
        moments = betting.log_moments(total, drawn, np.array([marked]))
        for number, odds in enumerate(ODDS):
            means = sum(shares.pmf(k) * math.exp(k * math.log(odds) - moments[0, number]) for k in range(drawn + 1))
            assert means == pytest.approx(1)


def test_all_stakes_are_one_at_the_start_and_without_events() -> None:
    bets = betting.begun(3)
    for _ in range(3 * EPOCH):
        bets = betting.together(bets, (90, np.zeros(3)), (10, np.zeros(3)))
    assert bets.log_evidence == pytest.approx(0)


def test_a_second_with_one_version_says_nothing() -> None:
    bets = betting.begun(1)
    assert betting.together(bets, (0, np.zeros(1)), (10, np.array([9]))) == bets
    assert betting.together(bets, (10, np.array([9])), (0, np.zeros(1))) == bets


def sees(seed: int, share: float, usual: float, failing: float, seconds: int, since: int = 0) -> int | None:
    """The second in which a failing challenger is seen; failures come in bursts that hit both."""
    source, bets = np.random.default_rng(seed), betting.begun(1)
    for second in range(seconds):
        n, m = source.poisson(200 * share), source.poisson(200 * (1 - share))
        burst = min(1.0, usual * source.gamma(0.5, 2))
        worse = min(1.0, burst + (failing if second >= since else 0.0))
        hits, own = source.binomial(m, burst), source.binomial(n, worse)
        bets = betting.together(bets, (m, np.array([hits])), (n, np.array([own])))
        if bets.log_evidence >= -math.log(LEVEL):
            return second
    return None


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_equal_versions_are_seldom_taken_for_worse_though_looked_at_each_second(share: float) -> None:
    found = sum(sees(seed, share, 0.01, 0.0, 150) is not None for seed in range(60))
    # With a level of 5 %, more than 7 of 60 have a probability of 1 %.
    assert found <= 7


def test_failures_are_seen_within_seconds() -> None:
    assert max(sees(seed, 0.25, 0.0005, 0.02, 60) or 0 for seed in range(20)) < 30


def test_a_version_that_turns_bad_late_is_seen_soon() -> None:
    """Without stakes for later, ten minutes of sound requests would have to be made up for."""
    found = [sees(seed, 0.5, 0.002, 0.02, 700, since=600) for seed in range(5)]
    assert all(each is not None and 600 <= each < 640 for each in found)


def test_rates_from_before_are_held_against_the_challenger() -> None:
    source = np.random.default_rng(3)
    rates = betting.upper(20_000, np.array([20]), LEVEL / 2)
    assert 0.001 < rates[0] < 0.0016

    def after(failing: float) -> Bets:
        bets = betting.begun(1)
        for _ in range(100):
            bets = betting.against(bets, rates, (100, np.array([source.binomial(100, failing)])))
        return bets

    assert after(0.001).log_evidence < 0
    assert after(0.01).log_evidence > 10
    assert betting.upper(5, np.array([5, 0]), 0.05).tolist()[0] == 1.0
