"""How often arms without a difference differ, the more often one looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np

from components.experiments import arms, joint
from components.experiments.arms import Arm
from components.experiments.compare.comparison import welch
from components.experiments.rate import Rates, look
from components.experiments.sequential import Plan, sequence

LOOKS = (1, 20, 100, 1_000, 10_000)
UNITS = 10_000
_AT_ONCE = 50
Figure = dict[str, Any]
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


@dataclass(frozen=True)
class Metric:
    """A metric without a difference: values of units, and the share of them in the treatment."""

    kind: str
    draw: Draw
    treated: float = 0.5


def _ratio(chance: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Clicks and views of users who differ in both."""
    views = chance.poisson(4, size=size) + 1
    return np.stack([chance.binomial(views, chance.beta(1, 9, size=size)), views]).astype(float)


METRICS = {
    "mean, normal": Metric("mean", lambda chance, size: chance.normal(size=size)),
    "mean, exponential": Metric("mean", lambda chance, size: chance.exponential(size=size)),
    "mean, lognormal 1.5": Metric("mean", lambda chance, size: chance.lognormal(sigma=1.5, size=size)),
    "mean, lognormal 1.5, 5 % treated": Metric("mean", lambda c, size: c.lognormal(sigma=1.5, size=size), 0.05),
    "share 50 %": Metric("share", lambda chance, size: chance.random(size) < 0.5),
    "share 10 %": Metric("share", lambda chance, size: chance.random(size) < 0.1),
    "share 10 %, 5 % treated": Metric("share", lambda chance, size: chance.random(size) < 0.1, 0.05),
    "share 1 %": Metric("share", lambda chance, size: chance.random(size) < 0.01),
    "clicks per view": Metric("ratio", _ratio),
}
RATES = {"rate 0.1 %, half": (0.001, 0.5), "rate 1 %, half": (0.01, 0.5), "rate 1 %, steps of a canary": (0.01, None)}
_STEPS = (0.01, 0.05, 0.25, 0.5)


def measured(runs: int, workers: int) -> Iterator[Figure]:
    """A figure for each metric and burn-in: the share of runs that ever found a difference, by the number of looks."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        found = pool.map(partial(_of_metric, runs=runs), METRICS)
        rates = pool.map(partial(_of_rate, runs=runs), RATES)
        for figures in found:
            yield from figures
        yield from rates


def _of_metric(name: str, runs: int) -> list[Figure]:
    chance, metric = np.random.default_rng(len(name)), METRICS[name]
    found: dict[str, list[np.ndarray]] = {}
    for _ in range(-(-runs // _AT_ONCE)):
        pair = _looks(metric, chance)
        for method, rejected in _rejected(*pair).items():
            found.setdefault(method, []).append(_by_looks(rejected))
    return [_figure(name, method, np.concatenate(each)) for method, each in found.items()]


def _rejected(control: Arm, treatment: Arm) -> dict[str, np.ndarray]:
    """Whether each method finds a difference at each look; (runs, looks)."""
    fewest = np.minimum(control.n, treatment.n)
    error, _ = welch(control, treatment)
    plain = np.abs(np.asarray(treatment.mean) - control.mean) > 1.959964 * np.where(error > 0, error, np.inf)
    found = sequence(control, treatment, Plan(burn_in=2)).p_value <= 0.05
    small = sequence(control, treatment, Plan(burn_in=2, units=1000)).p_value <= 0.05
    return {
        "plain z": plain & (fewest >= 2),
        "sequence, burn-in 2": found,
        "sequence, burn-in 20": found & (fewest >= 20),
        "sequence for 1,000 units, burn-in 2": small,
    }


def _looks(metric: Metric, chance: np.random.Generator) -> tuple[Arm, Arm]:
    """Control and treatment after each of `UNITS` pairs of units, or with each unit at random where few are treated."""
    size = _AT_ONCE, UNITS
    if metric.treated == 0.5:
        return tuple(_arm(metric.kind, metric.draw(chance, size)) for _ in range(2))  # type: ignore[return-value]
    values, mine = metric.draw(chance, size), chance.random(size) < metric.treated
    return _part(values, ~mine, metric.kind), _part(values, mine, metric.kind)


def _arm(kind: str, values: np.ndarray) -> Arm:
    if kind == "ratio":
        return joint.ratio(joint.cumulative(*values))
    if kind == "share":
        return arms.of_counts(values.cumsum(-1), np.broadcast_to(np.arange(1, UNITS + 1), values.shape))
    return arms.cumulative(values)


def _part(values: np.ndarray, mine: np.ndarray, kind: str) -> Arm:
    n, centre = mine.cumsum(-1), values.mean()
    if kind == "share":
        return arms.of_counts((values * mine).cumsum(-1), n)
    left = (values - centre) * mine
    found = arms.of_sums(n, left.cumsum(-1), (left**2).cumsum(-1))
    return Arm(found.n, np.asarray(found.mean) + centre, found.squares)


def _by_looks(rejected: np.ndarray) -> np.ndarray:
    """Whether a difference was ever found, by the number of looks; (runs, numbers of looks)."""
    total = rejected.shape[-1]
    return np.stack([rejected[:, total // looks - 1 :: total // looks].any(-1) for looks in LOOKS], -1)


def _of_rate(name: str, runs: int) -> Figure:
    rate, part = RATES[name]
    chance = np.random.default_rng(len(name))
    rates, rejected = Rates(), np.zeros((runs, UNITS), dtype=bool)
    for number in range(UNITS):
        treated = part or _STEPS[number * len(_STEPS) // UNITS]
        m = chance.binomial(10, treated, runs)
        rates = rates.after(chance.binomial(10 - m, rate), 10 - m, chance.binomial(m, rate), m)
        rejected[:, number] = look(rates).p_value <= 0.05
    return _figure(name, "rates", _by_looks(rejected))


def _figure(name: str, method: str, found: np.ndarray) -> Figure:
    shares = {f"{looks} looks": round(float(share), 4) for looks, share in zip(LOOKS, found.mean(0), strict=True)}
    return {"part": "levels", "metric": name, "method": method, "runs": len(found), **shares}
