"""The regret of bandits beside a textbook Thompson sampler, and what their arms seem to be worth afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np

from components.experiments import arms
from components.experiments.arms import Arm
from components.experiments.bandits import ipw
from components.experiments.bandits.weights import epsilon_greedy, posteriors, thompson, ucb
from components.experiments.bayes import Beta

Figure = dict[str, Any]
SHARES = {"two arms": (0.10, 0.12), "three arms": (0.05, 0.08, 0.10)}
REQUESTS, BATCH = 5_000, 100
Policy = Callable[[Mapping[str, Arm]], Mapping[str, float]]
POLICIES: dict[str, Policy] = {
    "thompson": lambda rewards: thompson(posteriors(rewards, Beta())),
    "thompson, floor 5 %": lambda rewards: thompson(posteriors(rewards, Beta()), 0.05),
    "ucb": lambda rewards: ucb(rewards),
    "epsilon-greedy 10 %": lambda rewards: epsilon_greedy(rewards, 0.1),
}


def measured(runs: int, workers: int) -> Iterator[Figure]:
    """A figure for each set of arms and policy; then the estimates after bandits without a difference."""
    jobs = [(name, policy) for name in SHARES for policy in ("textbook", "equal weights", *POLICIES)]
    parts = np.full(workers * 4, runs // workers // 4 + 1)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        textbook = 1.0
        for job in jobs:
            begin = time.perf_counter()
            # It is quick, and all others are compared with it.
            runs_of_job = parts * (10 if job[1] == "textbook" else 1)
            found = np.concatenate(list(pool.map(partial(_regrets, job), runs_of_job, range(len(parts)))))
            textbook = float(found.mean()) if job[1] == "textbook" else textbook
            yield _figure(job, found, textbook, time.perf_counter() - begin)
        logs = np.concatenate(list(pool.map(_estimates, parts, range(len(parts)))))
        yield from _of_estimates(logs)


def _figure(job: tuple[str, str], found: np.ndarray, textbook: float, seconds: float) -> Figure:
    error = float(found.std() / np.sqrt(len(found)))
    return {
        "part": "bandits",
        "arms": job[0],
        "policy": job[1],
        "runs": len(found),
        "regret": round(float(found.mean()), 2),
        "standard_error": round(error, 2),
        "percent_of_textbook": round(100 * float(found.mean()) / textbook, 1),
        "seconds": round(seconds, 1),
    }


def _regrets(job: tuple[str, str], runs: int, seed: int) -> np.ndarray:
    shares, policy = np.array(SHARES[job[0]]), job[1]
    chance = np.random.default_rng([seed, len(policy)])
    if policy == "textbook":
        return _textbook(shares, runs, chance)
    if policy == "equal weights":
        return np.full(runs, REQUESTS * (shares.max() - shares.mean()))
    return np.array([_regret(shares, POLICIES[policy], chance) for _ in range(runs)])


def _textbook(shares: np.ndarray, runs: int, chance: np.random.Generator) -> np.ndarray:
    """Thompson sampling as textbooks have it: a draw from each arm's posterior for each request, and the best one wins.

    Rewards arrive at the end of each batch, as they do for the others.
    """
    hits, misses, regret = (np.zeros((runs, len(shares))) for _ in range(3))
    for _ in range(REQUESTS // BATCH):
        drawn = chance.beta(hits[:, None] + 1, misses[:, None] + 1, size=(runs, BATCH, len(shares)))
        chosen = drawn.argmax(-1)
        rewarded = chance.random(chosen.shape) < shares[chosen]
        for arm in range(len(shares)):
            mine = chosen == arm
            hits[:, arm] += (mine & rewarded).sum(-1)
            misses[:, arm] += (mine & ~rewarded).sum(-1)
            regret[:, arm] += mine.sum(-1) * (shares.max() - shares[arm])
    return regret.sum(-1)


def _regret(shares: np.ndarray, policy: Policy, chance: np.random.Generator) -> float:
    units, hits = np.zeros(len(shares)), np.zeros(len(shares))
    for _ in range(REQUESTS // BATCH):
        new = chance.multinomial(BATCH, _weights(policy, hits, units))
        units += new
        hits += chance.binomial(new, shares)
    return float((units * (shares.max() - shares)).sum())


def _weights(policy: Policy, hits: np.ndarray, units: np.ndarray) -> np.ndarray:
    rewards = {str(arm): arms.of_counts(h, n) for arm, (h, n) in enumerate(zip(hits, units, strict=True))}
    return np.array(list(policy(rewards).values()))


def _estimates(runs: int, seed: int) -> np.ndarray:
    """The plain mean, the weighted estimate and whether its interval holds, of an arm after a bandit; (runs, 3)."""
    chance, found = np.random.default_rng([seed, 99]), []
    shares, policy = np.array([0.1, 0.1]), POLICIES["thompson, floor 5 %"]
    for _ in range(runs):
        units, hits, rows = np.zeros(2), np.zeros(2), []
        for _ in range(REQUESTS // BATCH):
            weights = _weights(policy, hits, units)
            chosen = chance.choice(2, size=BATCH, p=weights)
            rewards = chance.random(BATCH) < shares[chosen]
            units += np.bincount(chosen, minlength=2)
            hits += np.bincount(chosen, rewards, minlength=2)
            rows.append((chosen, np.tile(weights, (BATCH, 1)), rewards))
        log = ipw.Log(*(np.concatenate(each) for each in zip(*rows, strict=True)))
        one, apart = ipw.value(log, 1), ipw.difference(log, 0, 1)
        holds = one.low < shares[1] < one.high
        found.append((hits[1] / max(units[1], 1), one.value, holds, apart.low < 0 < apart.high))
    return np.array(found)


def _of_estimates(found: np.ndarray) -> Iterator[Figure]:
    plain, weighted, holds, apart = found.mean(0)
    yield {
        "part": "bandits, estimates",
        "arms": "two of 10 %",
        "runs": len(found),
        "plain_mean_bias_points": round(100 * (plain - 0.1), 3),
        "weighted_bias_points": round(100 * (weighted - 0.1), 3),
        "interval_holds": round(float(holds), 3),
        "interval_of_difference_holds": round(float(apart), 3),
    }
