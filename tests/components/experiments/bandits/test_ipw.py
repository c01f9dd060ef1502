"""Estimates after a bandit: unbiased, with intervals that hold."""

from __future__ import annotations

import numpy as np
import pytest

from components.contract.errors import DataError
from components.experiments.bandits import ipw
from components.experiments.bandits.ipw import Log

RUNS, BATCHES, BATCH, FLOOR = 400, 20, 50, 0.1


def _bandits(shares: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Greedy bandits with a floor: arms, probabilities of the second arm, and rewards; (runs, units)."""
    chance = np.random.default_rng(1)
    units, hits = np.ones((RUNS, 2)), np.full((RUNS, 2), 0.5)
    rows = []
    for _ in range(BATCHES):
        second = np.where(hits[:, 1] / units[:, 1] > hits[:, 0] / units[:, 0], 1 - FLOOR, FLOOR)
        chosen = (chance.random((RUNS, BATCH)) < second[:, None]).astype(int)
        rewards = chance.random((RUNS, BATCH)) < np.array(shares)[chosen]
        for arm in (0, 1):
            units[:, arm] += (chosen == arm).sum(-1)
            hits[:, arm] += ((chosen == arm) & rewards).sum(-1)
        rows.append((chosen, np.repeat(second[:, None], BATCH, 1), rewards))
    chosen, second, rewards = (np.concatenate(each, -1) for each in zip(*rows, strict=True))
    return chosen, second, rewards.astype(float)


def test_estimates_are_honest_where_plain_means_are_not() -> None:
    chosen, second, rewards = _bandits((0.3, 0.3))
    plain = (rewards * chosen).sum(-1) / chosen.sum(-1)
    assert plain.mean() < 0.29
    logs = [Log(c, np.stack([1 - p, p], -1), r) for c, p, r in zip(chosen, second, rewards, strict=True)]
    found = [ipw.value(log, 1) for log in logs]
    assert np.mean([each.value for each in found]) == pytest.approx(0.3, abs=0.005)
    assert np.mean([each.low < 0.3 < each.high for each in found]) == pytest.approx(0.95, abs=0.03)
    apart = [ipw.difference(log, 0, 1) for log in logs]
    assert np.mean([each.low < 0 < each.high for each in apart]) == pytest.approx(0.95, abs=0.03)
    assert np.mean([each.p_value < 0.05 for each in apart]) < 0.09


def test_even_weights_give_the_plain_mean() -> None:
    chance = np.random.default_rng(2)
    arms, rewards = chance.integers(2, size=20_000), chance.normal(size=20_000)
    found = ipw.value(Log(arms, np.full((20_000, 2), 0.5), rewards), 0)
    mine = rewards[arms == 0]
    assert found.value == pytest.approx(mine.mean(), abs=3e-4)
    assert found.error == pytest.approx(mine.std() / np.sqrt(len(mine)), rel=0.02)


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (Log([0, 1], [[0.5, 0.5]] * 2, [1.0]), "2 arms, 1 rewards and 2 probabilities"),
        (Log([], np.zeros((0, 2)), []), "0 arms, 0 rewards"),
        (Log([0, 1], [[1.0, 0.0]] * 2, [1.0, 2.0]), "had the probability 0"),
        (Log([0, 0], [[0.5, 0.5]] * 2, [1.0, 2.0]), "no unit had arm 1"),
        (Log([0, 1], [[0.5, 0.5]] * 2, [1.0, np.nan]), "rewards: 1 of 2 values are NaN"),
    ],
)
def test_logs_that_say_nothing_are_refused(log: Log, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        ipw.value(log, 1)
    assert caught.value.fix
