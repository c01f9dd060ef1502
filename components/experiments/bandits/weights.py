"""The next weights of arms from what their rewards were so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from components.contract.errors import UserError
from components.experiments.arms import Arm
from components.experiments.bayes import Beta, Normal, Posterior, standings

Weights: TypeAlias = dict[str, float]
"""The share of each arm; they sum to 1."""


def thompson(posteriors: Mapping[str, Posterior], floor: float = 0.0) -> Weights:
    """Thompson sampling (Biometrika 1933): each arm has the probability that it is best as its share.

    Weights by these probabilities route a batch of requests as drawing from the posteriors for every request would.

    Args:
        posteriors: What is believed of each arm's reward.
        floor: The least share of each arm; estimates afterwards need one above 0.

    Raises:
        UserError: The floors leave nothing to share.
    """
    shares = {each.name: each.best for each in standings(posteriors)}
    return with_floor(shares, floor)


def ucb(rewards: Mapping[str, Arm], floor: float = 0.0, *, largest: float = 1.0) -> Weights:
    """UCB1 (Auer, Cesa-Bianchi and Fischer, Machine Learning 2002): all to the arm that could be best.

    Args:
        rewards: The rewards of each arm so far, between 0 and `largest`.
        floor: The least share of each arm.
        largest: The largest reward of a unit.
    """
    total = sum(float(arm.n) for arm in rewards.values())

    def bound(name: str) -> float:
        arm = rewards[name]
        if not arm.n:
            return math.inf
        return float(arm.mean) / largest + math.sqrt(2 * math.log(max(total, 1.0)) / float(arm.n))

    return with_floor(_all_to(rewards, bound), floor)


def epsilon_greedy(rewards: Mapping[str, Arm], epsilon: float = 0.1, floor: float = 0.0) -> Weights:
    """Epsilon-greedy: a share is spread over all arms, and the rest goes to the arm with the best mean so far.

    Arms without rewards come first.
    """
    if not 0 <= epsilon <= 1:
        raise UserError(f"epsilon must be between 0 and 1, not {epsilon!r}", fix="use a share such as 0.1")
    best = _all_to(rewards, lambda name: float(rewards[name].mean) if rewards[name].n else math.inf)
    spread = epsilon / len(best)
    return with_floor({name: spread + (1 - epsilon) * share for name, share in best.items()}, floor)


def _all_to(rewards: Mapping[str, Arm], value: Callable[[str], float]) -> Weights:
    """Everything to the arms of the highest value, in equal parts if there are several."""
    if not rewards:
        raise UserError("a bandit has no arms", fix="give two or more")
    values = {name: value(name) for name in rewards}
    top = [name for name in rewards if values[name] == max(values.values())]
    return {name: 1 / len(top) if name in top else 0.0 for name in rewards}


def with_floor(shares: Mapping[str, float], floor: float) -> Weights:
    """Shares of which each is at least the floor; what is above the floors is shared in the same proportions.

    Raises:
        UserError: The floors leave nothing to share.
    """
    if not 0 <= floor * len(shares) < 1:
        raise UserError(
            f"a floor of {floor!r} for {len(shares)} arms leaves nothing to share",
            fix=f"use a floor of less than {1 / max(len(shares), 1):.3g}",
        )
    total = sum(shares.values())
    return {name: floor + (1 - floor * len(shares)) * share / total for name, share in shares.items()}


def posteriors(rewards: Mapping[str, Arm], prior: Beta | Normal) -> dict[str, Posterior]:
    """What is believed of each arm; one without units has the prior."""
    return {name: prior.after(arm) if arm.n else prior for name, arm in rewards.items()}


def matured(assigned: NDArray[np.float64], now: float, delay: float) -> NDArray[np.bool_]:
    """Which units count: those assigned so long ago that their reward has come or never will; (units,).

    Counting a unit at once as a failure until its reward comes favours arms that got their units early.

    Args:
        assigned: When each unit was assigned, in seconds.
        now: The time, in the same clock.
        delay: How long a reward may take, in seconds.
    """
    due: NDArray[np.bool_] = np.asarray(assigned, dtype=float) <= now - delay
    return due
