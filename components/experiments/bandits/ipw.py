"""Honest estimates after a bandit: plain means of its arms are biased, because bad luck ends an arm's traffic.

Each reward is weighted by one over the probability that its unit had of getting that arm (Horvitz and Thompson 1952).
What is expected of the arm from earlier units is subtracted first and added again (augmented: Robins, Rotnitzky and
Zhao 1994), which keeps the estimate unbiased and makes it vary less. All units count alike: weights that keep the
variance even (Hadad, Hirshberg, Zhan, Wager and Athey, PNAS 2021) give shorter intervals, and a bias of their own. The
intervals need a floor under the probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from components.contract.errors import DataError
from components.experiments.numbers import Array, finite, share


@dataclass(frozen=True)
class Estimate:
    """The value of an arm, or the difference of two.

    Attributes:
        value: The estimate, in units of the reward.
        low: The lower end of its confidence interval.
        high: The upper end.
        error: Its standard error.
        p_value: The two-sided p-value against 0.
    """

    value: float
    low: float
    high: float
    error: float
    p_value: float


@dataclass(frozen=True)
class Log:
    """What a bandit did, in the order of time.

    Attributes:
        arms: The number of the arm of each unit, (units,).
        probabilities: The probability of each arm for each unit, by the weights then, (units, arms).
        rewards: The reward of each unit, (units,).
    """

    arms: Any
    probabilities: Any
    rewards: Any


def value(log: Log, arm: int, level: float = 0.05) -> Estimate:
    """What the mean reward would be if all units had this arm; for one look, at the end.

    Raises:
        DataError: The columns differ in length, or a unit had an arm whose probability was 0.
    """
    scores = _scores(log, arm)
    return _interval(float(scores.mean()), float(scores.std() / np.sqrt(scores.size)), level)


def difference(log: Log, control: int, treatment: int, level: float = 0.05) -> Estimate:
    """What the mean reward of an arm would be minus that of another; for one look, at the end."""
    first, second = value(log, control, level), value(log, treatment, level)
    # Units of one arm say nothing of the other, once what was expected is subtracted.
    return _interval(second.value - first.value, float(np.hypot(first.error, second.error)), level)


def _scores(log: Log, arm: int) -> Array:
    """An unbiased score of the arm for each unit."""
    arms, rewards = np.asarray(log.arms), finite(log.rewards, "rewards")
    probabilities = finite(log.probabilities, "probabilities")
    if not arms.shape == rewards.shape == probabilities.shape[:1] or not arms.size:
        raise DataError(
            f"a bandit's log has {arms.size} arms, {rewards.size} rewards and {len(probabilities)} probabilities",
            fix="give each unit all three, in the order of time",
        )
    chance = probabilities[:, arm]
    if (chance <= 0).any():
        raise DataError("an arm had the probability 0 for some units", fix="run bandits with a floor above 0")
    mine = arms == arm
    if not mine.any():
        raise DataError(f"no unit had arm {arm}", fix="leave it out, or wait")
    expected = _expected(rewards, mine)
    return np.asarray(expected + mine * (rewards - expected) / chance)


def _expected(rewards: Array, mine: Array) -> Array:
    """The mean reward of the arm in the units before each; the first units expect 0."""
    counts, sums = mine.cumsum() - mine, (rewards * mine).cumsum() - rewards * mine
    return np.asarray(sums / np.maximum(counts, 1))


def _interval(found: float, error: float, level: float) -> Estimate:
    half = error * float(ndtri(1 - share(level, "the level") / 2))
    p_value = 2 * float(ndtr(-abs(found) / error)) if error else float(found == 0)
    return Estimate(found, found - half, found + half, error, p_value)
