"""Moves the weights of the proxy to the arms with the best rewards so far, and writes down which weights were when."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import add

from components.contract.errors import ServiceError, TaxiwayError, UserError
from components.experiments.arms import Arm
from components.experiments.bandits import weights as policies
from components.experiments.bayes import Beta, Normal, Posterior
from components.monitoring.store import Store
from taxiway.experiments import tables
from taxiway.experiments.bandits import proxy
from taxiway.experiments.data import sums, units
from taxiway.experiments.data.database import database, one
from taxiway.experiments.settings import PROPORTION, RANK, SEQUENTIAL, Experiment, Metric

THOMPSON, UCB, GREEDY = "thompson", "ucb", "epsilon-greedy"
POLICIES = (THOMPSON, UCB, GREEDY)


@dataclass(frozen=True)
class Policy:
    """How weights follow rewards.

    Attributes:
        name: thompson, ucb or epsilon-greedy.
        floor: The least share of each arm: estimates afterwards need one above 0.
        epsilon: Of epsilon-greedy: the share that is spread over all arms.
    """

    name: str = THOMPSON
    floor: float = 0.05
    epsilon: float = 0.1

    def __post_init__(self) -> None:
        if self.name not in POLICIES:
            raise UserError(f"there is no policy {self.name!r}", fix=f"use one of {', '.join(POLICIES)}")
        if not 0 < self.floor < 1:
            raise UserError(f"the floor is {self.floor!r}", fix="use a share above 0, such as 0.05")


@dataclass(frozen=True)
class Turn:
    """The next weights, and what they rest on.

    Attributes:
        weights: The share of each arm.
        rewards: The mean reward of each arm so far; units whose window is not over do not count.
        units: The units of each arm.
    """

    weights: dict[str, float]
    rewards: dict[str, float]
    units: dict[str, int]

    @property
    def words(self) -> str:
        """The turn in one line."""
        return ", ".join(
            f"{arm} {weight:.1%} (reward {self.rewards[arm]:.4g} of {self.units[arm]:,} units)"
            for arm, weight in self.weights.items()
        )


def require(experiment: Experiment, policy: Policy) -> Metric:
    """The metric that is the reward: the first one that is no guardrail.

    Raises:
        UserError: The arms are not targets of a proxy, there is no reward, or the floors leave nothing.
    """
    if missing := [name for name, arm in experiment.arms.items() if not arm.target]:
        raise UserError(f"arm {missing[0]!r} is no target of a proxy", fix="give it a target of route.yaml")
    policies.with_floor(experiment.shares, policy.floor)
    metric = next((each for each in experiment.metrics if each.margin is None and each.computed != RANK), None)
    if metric is None:
        raise UserError("no metric can be the reward", fix="add one without a margin that is a proportion or a mean")
    return metric


def turn(experiment: Experiment, store: Store, policy: Policy, now: datetime) -> Turn:
    """The next weights; nothing is written.

    Raises:
        UserError: See `require`; or a column or source is missing.
        DataError: No request of the arms was recorded.
    """
    metric = require(experiment, policy)
    index = experiment.metrics.index(metric)
    # A bandit has no planned size, and what CUPED adjusts is the difference to one control.
    plain = [replace(each, covariate="") for each in experiment.metrics]
    with database() as connection:
        found = units.build(connection, replace(experiment, method=SEQUENTIAL, metrics=plain), store, now)
        joints = sums.at_all(sums.whole(found, index))
        given = [sums.pair(found, plain[index], each, each).control for each in joints]
        largest = float(one(connection, f"SELECT coalesce(max(v{index}_0), 1) FROM units WHERE ready")[0])
    arms = {name: _plain(arm) for name, arm in zip(experiment.arms, given, strict=True)}
    rewards = {name: _reward(metric, arm, largest) for name, arm in arms.items()}
    chosen = weights(rewards, metric, policy, largest)
    return Turn(chosen, {n: float(a.mean) for n, a in arms.items()}, {n: int(a.n) for n, a in arms.items()})


def _plain(arm: Arm) -> Arm:
    return Arm(float(arm.n), float(arm.mean), float(arm.squares))


def _reward(metric: Metric, arm: Arm, largest: float) -> Arm:
    """More is better; where less is, the distance from the largest value."""
    return arm if metric.sign > 0 or not arm.n else replace(arm, mean=largest - arm.mean)


def weights(rewards: Mapping[str, Arm], metric: Metric, policy: Policy, largest: float = 1.0) -> dict[str, float]:
    """The next weights by a policy."""
    if policy.name == UCB:
        return policies.ucb(rewards, policy.floor, largest=max(largest, 1e-12))
    if policy.name == GREEDY:
        return policies.epsilon_greedy(rewards, policy.epsilon, policy.floor)
    return policies.thompson(_believed(rewards, metric), policy.floor)


def _believed(rewards: Mapping[str, Arm], metric: Metric) -> dict[str, Posterior]:
    """What is believed of each arm; one of which little is known has the prior, which is as wide as all units."""
    if metric.computed == PROPORTION:
        return policies.posteriors(rewards, Beta())
    together = reduce(add, rewards.values())
    spread = float(together.variance) ** 0.5 or 1.0
    prior = Normal(float(together.mean), spread)
    return {name: prior.after(arm) if arm.n >= 2 and arm.variance else prior for name, arm in rewards.items()}


def step(experiment: Experiment, store: Store, policy: Policy, admins: Sequence[str], now: datetime) -> Turn:
    """One turn: the weights are written down first, and then to the proxies.

    Raises:
        ServiceError: A proxy or the store does not answer; the weights that are written down are set right.
    """
    before = proxy.read(admins[0], experiment.model)
    found = turn(experiment, store, policy, now)
    named = {experiment.arms[arm].target: weight for arm, weight in found.weights.items()}
    _log(experiment, store, policy, found.weights, found.words)
    try:
        proxy.write(admins, experiment.model, named)
    except TaxiwayError:
        left = {arm: before.get(experiment.arms[arm].target, 0.0) for arm in experiment.arms}
        _log(experiment, store, policy, left, "the proxy did not take the weights")
        raise
    return found


def _log(experiment: Experiment, store: Store, policy: Policy, given: Mapping[str, float], reason: str) -> None:
    row = {
        "experiment": experiment.name,
        "time": datetime.now(UTC),
        "weights": json.dumps(given),
        "policy": policy.name,
        "reason": reason,
    }
    tables.append(store, tables.WEIGHTS, row)


def run(do: Callable[[], Turn], every: timedelta, tell: Callable[[str], None], stopped: threading.Event) -> None:
    """Turns again and again until it is stopped; a proxy or store that is away is told of once and tried again."""
    away = False
    while not stopped.is_set():
        try:
            tell(do().words)
            away = False
        except ServiceError as error:
            if not away:
                tell(f"{error}; tried again every {every}")
            away = True
        stopped.wait(every.total_seconds())
