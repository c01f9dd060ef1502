"""Whether designs find what they promise, and how many units looking all the time takes or saves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np

from components.experiments import arms, joint
from components.experiments.compare import means, proportions
from components.experiments.design import Design, of_arm, of_share, power, sample_size
from components.experiments.sequential import Plan, sequence

Figure = dict[str, Any]
_AT_ONCE = 1000
_LOOKS = 200


def measured(runs: int, workers: int) -> Iterator[Figure]:
    """Power at a fixed size beside theory; then the sizes at which sequences stop beside the fixed one."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(partial(_fixed, runs=runs), FIXED)
        yield from pool.map(partial(_stopped, runs=max(runs // 10, 200)), EFFECTS)


def _shares(chance: np.random.Generator, design: Design, effect: float, units: int, runs: int) -> np.ndarray:
    n, m = units - round(units * design.treated), round(units * design.treated)
    control = arms.of_counts(chance.binomial(n, design.mean, runs), np.full(runs, n))
    return proportions.z(
        control, arms.of_counts(chance.binomial(m, design.mean + effect, runs), np.full(runs, m))
    ).p_value


def _means(chance: np.random.Generator, design: Design, effect: float, units: int, runs: int) -> np.ndarray:
    pair = []
    for part, mean in ((1 - design.treated, design.mean), (design.treated, design.mean + effect)):
        values = chance.normal(mean, design.deviation, size=(runs, round(units * part)))
        pair.append(arms.of_sums(np.full(runs, values.shape[1]), values.sum(-1), (values**2).sum(-1)))
    return means.welch(*pair).p_value


def _clicks(chance: np.random.Generator, size: Any, rate: float) -> tuple[np.ndarray, np.ndarray]:
    views = chance.poisson(4, size=size) + 1
    return chance.binomial(views, chance.beta(10 * rate, 10 * (1 - rate), size=size)).astype(float), views.astype(float)


def _ratios(chance: np.random.Generator, design: Design, effect: float, units: int, runs: int) -> np.ndarray:
    pair = []
    for rate in (0.2, 0.2 + effect):
        c, v = _clicks(chance, (runs, units // 2), rate)
        products = [[(c * c).sum(-1), (c * v).sum(-1)], [(c * v).sum(-1), (v * v).sum(-1)]]
        pair.append(joint.of_sums(np.full(runs, units // 2), [c.sum(-1), v.sum(-1)], products))
    return means.delta(*pair).p_value


def _of_clicks() -> Design:
    """The design that a past week of clicks and views gives."""
    return of_arm(joint.ratio(joint.of_columns(*_clicks(np.random.default_rng(1), 200_000, 0.2))))


Simulate = Callable[[np.random.Generator, Design, float, int, int], np.ndarray]
FIXED: dict[str, tuple[Design | None, float, Simulate]] = {
    "share 10 % + 2 points": (of_share(0.1), 0.02, _shares),
    "share 10 % + 2 points, 20 % treated, power 90 %": (of_share(0.1, treated=0.2, power=0.9), 0.02, _shares),
    "share 1 % + 0.5 points": (of_share(0.01), 0.005, _shares),
    "mean + 0.2 sd": (Design(5.0, 2.0), 0.4, _means),
    "mean + 1 sd, 36 units": (Design(5.0, 2.0), 2.0, _means),
    "clicks per view 20 % + 2 points": (None, 0.02, _ratios),
}


def _fixed(name: str, runs: int) -> Figure:
    design, effect, simulate = FIXED[name]
    design = design or _of_clicks()
    units = sample_size(design, effect)
    units += units % 2
    chance = np.random.default_rng(len(name))
    chunks = -(-runs // _AT_ONCE)
    found = np.concatenate([simulate(chance, design, effect, units, _AT_ONCE) for _ in range(chunks)])
    theory, seen = power(design, effect, units), float((found < design.level).mean())
    return {
        "part": "power",
        "metric": name,
        "units": units,
        "runs": len(found),
        "theory": round(theory, 4),
        "found": round(seen, 4),
        "points_off": round(100 * (seen - theory), 2),
    }


EFFECTS = (0.0, 0.01, 0.02, 0.03, 0.05)
"""Added to a share of 10 % by an experiment that is designed to find 2 points with a power of 80 %."""


def _stopped(effect: float, runs: int) -> Figure:
    """A sequence that is looked at 200 times and may take twice the units of the fixed design."""
    fixed = sample_size(of_share(0.1), 0.02)
    step = math.ceil(fixed / _LOOKS)
    n = np.arange(1, _LOOKS + 1) * step
    chance = np.random.default_rng(round(1000 * effect))
    hits = [chance.binomial(step, share, size=(runs, _LOOKS)).cumsum(-1) for share in (0.1, 0.1 + effect)]
    pair = [arms.of_counts(each, np.broadcast_to(n, each.shape)) for each in hits]
    rejected = np.asarray(sequence(*pair, Plan(units=fixed)).p_value) <= 0.05
    found = rejected.any(-1)
    stop = np.where(found, 2 * n[rejected.argmax(-1)], 2 * n[-1])
    at_fixed = np.asarray(
        proportions.z(*(arms.of_counts(h[:, _LOOKS // 2 - 1], n[_LOOKS // 2 - 1]) for h in hits)).p_value
    )
    return {
        "part": "sizes",
        "share": "10 %",
        "points_more": 100 * effect,
        "fixed_units": fixed,
        "fixed_found": round(float((at_fixed < 0.05).mean()), 3),
        "sequence_found": round(float(found.mean()), 3),
        "mean_units": round(float(stop.mean())),
        "median_units": round(float(np.median(stop))),
        "at_most": int(2 * n[-1]),
    }
