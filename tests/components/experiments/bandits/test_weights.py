"""Weights that follow rewards, with floors."""

from __future__ import annotations

import numpy as np
import pytest

from components.contract.errors import UserError
from components.experiments import arms
from components.experiments.arms import Arm
from components.experiments.bandits.weights import epsilon_greedy, matured, posteriors, thompson, ucb, with_floor
from components.experiments.bayes import Beta

REWARDS = {"a": arms.of_counts(30, 400), "b": arms.of_counts(45, 400), "c": arms.of_counts(5, 60)}


def test_thompson_gives_each_arm_the_probability_that_it_is_best() -> None:
    chance = np.random.default_rng(1)
    drawn = np.stack([chance.beta(1 + arm.total, 1 + arm.n - arm.total, 300_000) for arm in REWARDS.values()])
    expected = np.bincount(drawn.argmax(0)) / 300_000
    found = thompson(posteriors(REWARDS, Beta()))
    assert list(found.values()) == pytest.approx(list(expected), abs=0.004)


def test_arms_without_units_have_the_prior() -> None:
    found = thompson(posteriors({"old": arms.of_counts(1, 200), "new": Arm(0, 0.0, 0.0)}, Beta()))
    assert found["new"] > 0.9


def test_ucb_takes_the_arm_that_could_be_best() -> None:
    assert ucb(REWARDS) == {"a": 0.0, "b": 0.0, "c": 1.0}
    assert ucb({**REWARDS, "new": Arm(0, 0.0, 0.0)})["new"] == 1
    assert ucb({"a": arms.of_values([90.0] * 999), "b": arms.of_values([10.0] * 999)}, largest=100)["a"] == 1


def test_epsilon_greedy_spreads_a_share() -> None:
    assert epsilon_greedy(REWARDS, 0.3) == pytest.approx({"a": 0.1, "b": 0.8, "c": 0.1})
    assert epsilon_greedy({"a": arms.of_counts(1, 2), "b": arms.of_counts(1, 2)}, 0.0) == {"a": 0.5, "b": 0.5}


def test_floors_are_kept_and_shares_sum_to_one() -> None:
    for found in (thompson(posteriors(REWARDS, Beta()), 0.1), ucb(REWARDS, 0.1), epsilon_greedy(REWARDS, 0.0, 0.1)):
        assert sum(found.values()) == pytest.approx(1)
        assert min(found.values()) >= 0.1
    assert with_floor({"a": 1.0, "b": 0.0}, 0.2) == pytest.approx({"a": 0.8, "b": 0.2})


def test_units_count_when_their_reward_is_due() -> None:
    assert matured(np.array([0.0, 50.0, 90.0]), now=100.0, delay=20.0).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: with_floor({"a": 1.0, "b": 0.0}, 0.5), "a floor of 0.5 for 2 arms leaves nothing"),
        (lambda: ucb({}), "a bandit has no arms"),
        (lambda: epsilon_greedy(REWARDS, 1.5), "epsilon must be between 0 and 1"),
        (lambda: thompson(posteriors({"a": Arm(0, 0.0, 0.0)}, Beta())), "there are 1 arms"),
    ],
)
def test_bandits_that_cannot_run_are_refused(make: object, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        make()  # type: ignore[operator]
    assert caught.value.fix
