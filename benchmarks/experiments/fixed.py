"""What CUPED leaves of the variance, and whether p-values without a difference are uniform."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
from scipy.stats import kstest

from components.experiments import arms, joint
from components.experiments.compare import cuped, means, proportions, ranks
from components.experiments.joint import Joint
from components.experiments.validity.same import same

Figure = dict[str, Any]
CORRELATIONS = (0.3, 0.5, 0.7, 0.9)
UNITS = 500
_AT_ONCE = 1000


def measured(runs: int, workers: int) -> Iterator[Figure]:
    """The figures of CUPED by correlation, then those of A/A runs by method."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(partial(_cuped, runs=20 * runs), CORRELATIONS)
        yield from pool.map(partial(_uniform, runs=runs), METHODS)


def _cuped(correlation: float, runs: int) -> Figure:
    """The variance of the difference with and without CUPED, over runs."""
    chance = np.random.default_rng(round(100 * correlation))
    plain, adjusted, kept = [], [], []
    for _ in range(-(-runs // _AT_ONCE)):
        pair = [_correlated(chance, correlation, 0.0), _correlated(chance, correlation, 0.1)]
        found = cuped.means(*pair)
        plain.append(pair[1].means[:, 0] - pair[0].means[:, 0])
        adjusted.append(np.asarray(found.treatment.mean) - found.control.mean)
        kept.append(np.asarray(found.kept))
    theory = 1 - correlation**2
    left = float(np.concatenate(adjusted).var() / np.concatenate(plain).var())
    estimated = float(np.concatenate(kept).mean())
    return {
        "part": "cuped",
        "correlation": correlation,
        "runs": runs,
        "theory": round(theory, 4),
        "variance_left": round(left, 4),
        "percent_off": round(100 * (left / theory - 1), 2),
        "estimated": round(estimated, 4),
        "bias": round(float(np.concatenate(adjusted).mean() - 0.1), 5),
    }


def _correlated(chance: np.random.Generator, correlation: float, effect: float) -> Joint:
    before = chance.normal(size=(_AT_ONCE, UNITS))
    value = correlation * before + np.sqrt(1 - correlation**2) * chance.normal(size=before.shape) + effect
    products = [[(a * b).sum(-1) for b in (value, before)] for a in (value, before)]
    return joint.of_sums(np.full(_AT_ONCE, UNITS), [value.sum(-1), before.sum(-1)], products)


def _gammas(chance: np.random.Generator, runs: int) -> np.ndarray:
    return chance.gamma(2, size=(2, runs, UNITS))


def _welch(chance: np.random.Generator, runs: int) -> np.ndarray:
    n = np.full(runs, UNITS)
    return means.welch(*(arms.of_sums(n, x.sum(-1), (x * x).sum(-1)) for x in _gammas(chance, runs))).p_value


def _z(chance: np.random.Generator, runs: int) -> np.ndarray:
    hits = chance.binomial(100_000, 0.1, size=(2, runs))
    return proportions.z(*(arms.of_counts(each, np.full(runs, 100_000)) for each in hits)).p_value


def _delta(chance: np.random.Generator, runs: int) -> np.ndarray:
    views = chance.poisson(4, size=(2, runs, UNITS)) + 1.0
    clicks = chance.gamma(views)
    pair = []
    for c, v in zip(clicks, views, strict=True):
        products = [[(c * c).sum(-1), (c * v).sum(-1)], [(c * v).sum(-1), (v * v).sum(-1)]]
        pair.append(joint.of_sums(np.full(runs, UNITS), [c.sum(-1), v.sum(-1)], products))
    return means.delta(*pair).p_value


def _with_cuped(chance: np.random.Generator, runs: int) -> np.ndarray:
    pairs = [[_correlated(chance, 0.7, 0.0) for _ in range(2)] for _ in range(-(-runs // _AT_ONCE))]
    adjusted = [cuped.means(*pair) for pair in pairs]
    return np.concatenate([means.welch(each.control, each.treatment).p_value for each in adjusted])


def _ranks(chance: np.random.Generator, runs: int) -> np.ndarray:
    return np.array([ranks.mann_whitney(*pair).p_value for pair in np.moveaxis(_gammas(chance, runs), 1, 0)])


def _same(chance: np.random.Generator, runs: int) -> np.ndarray:
    return same(chance.lognormal(size=4 * UNITS), runs=runs).p_values


METHODS = {
    "Welch's t": _welch,
    "z of two shares": _z,
    "ratio by the delta method": _delta,
    "Welch's t with CUPED": _with_cuped,
    "Mann-Whitney U": _ranks,
    "A/A splits of the same units": _same,
}


def _uniform(name: str, runs: int) -> Figure:
    p_values = METHODS[name](np.random.default_rng(len(name)), runs)
    return {
        "part": "A/A",
        "method": name,
        "runs": len(p_values),
        "below 1 %": round(float((p_values < 0.01).mean()), 4),
        "below 5 %": round(float((p_values < 0.05).mean()), 4),
        "below 10 %": round(float((p_values < 0.10).mean()), 4),
        "ks_p_value": round(float(kstest(p_values, "uniform").pvalue), 3),
    }
