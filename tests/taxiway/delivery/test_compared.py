"""The guardrail of latency, from counts by bin: busy seconds, heavy tails, one percent of the traffic."""

from __future__ import annotations

import numpy as np
import pytest

from taxiway.delivery.evidence import compared
from taxiway.delivery.evidence.compared import Bins, Compared
from taxiway.delivery.evidence.counts import BINS
from taxiway.delivery.rollout import FAILURE, INCONCLUSIVE, SUCCESS
from taxiway.delivery.settings import Errors, Latency
from taxiway.routing.access_log import BUCKETS

LEVEL = 0.05
EDGES = np.concatenate([[0.0], BUCKETS, [np.inf]])


def drawn(source: np.random.Generator, n: int, median: float, slow: float) -> Bins:
    """Latencies with a heavy tail: some are twenty times as long."""
    took = median * np.exp(source.normal(0, 0.5, n)) * np.where(source.random(n) < slow, 20, 1)
    return Bins(np.histogram(took, EDGES)[0].tolist(), float(took.sum()))


def ended(seed: int, share: float, slower: float = 1.0, slow: float = 0.01, seconds: int = 120) -> int | None:
    """The second in which the guardrail fails; None if it holds."""
    source, known = np.random.default_rng(seed), compared.begun(BINS)
    for second in range(seconds):
        busy = 0.004 * float(np.exp(source.normal(0, 0.5))) * (10 if source.random() < 0.05 else 1)
        champion = drawn(source, source.poisson(300 * (1 - share)), busy, 0.01)
        challenger = drawn(source, source.poisson(300 * share), busy * slower, slow)
        known = compared.compared(known, champion, challenger, compared.bins_of(0.1))
        if compared.latency(known, Latency(0.1), LEVEL).verdict == FAILURE:
            return second
    return None


@pytest.mark.parametrize("share", [0.01, 0.3])
def test_busy_seconds_take_no_equal_version_back(share: float) -> None:
    assert sum(ended(seed, share, seconds=60) is not None for seed in range(15)) <= 3


def test_thirty_percent_slower_is_seen_with_one_percent_of_the_traffic() -> None:
    found = [ended(seed, 0.01, slower=1.3, seconds=400) for seed in range(3)]
    assert all(each is not None for each in found)


def test_a_few_slow_requests_are_seen_though_the_rest_is_as_quick() -> None:
    found = [ended(seed, 0.3, slow=0.05) for seed in range(3)]
    assert all(each is not None for each in found)


def test_slower_within_the_tolerance_goes_on() -> None:
    assert [ended(seed, 0.3, slower=1.03) for seed in range(3)] == [None] * 3


def of_errors(champion: tuple[int, int], challenger: tuple[int, int], seconds: int = 30) -> Compared:
    known = compared.begun(2)
    for _ in range(seconds):
        known = compared.compared(known, Bins(champion), Bins(challenger))
    return known


def test_errors_within_the_tolerance_go_on() -> None:
    known = of_errors((90, 0), (98, 2))
    assert compared.errors(known, Errors(), LEVEL).verdict == FAILURE
    assert compared.errors(known, Errors(tolerance=0.03), LEVEL).verdict == SUCCESS


def test_an_outage_of_both_is_nobodys_fault() -> None:
    found = compared.errors(of_errors((0, 100), (0, 50)), Errors(), LEVEL)
    assert found.verdict == SUCCESS
    assert found.sentence == ("errors: 100.00 % of the challenger's requests failed, 100.00 % of the champion's")


def test_requests_of_one_version_alone_tell_nothing() -> None:
    found = compared.errors(of_errors((100, 0), (0, 0)), Errors(), LEVEL)
    assert found.verdict == INCONCLUSIVE and found.requests == (3000, 0)
