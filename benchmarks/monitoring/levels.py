"""How often a window in which nothing has changed has a signal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.monitoring import populations
from components.monitoring.calibration.decide import decide

SIZES = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000)
REFERENCE_ROWS = 10_000
_FEW, _MANY = {"taxi": 5, "synthetic": 10}, 20
"""Windows of one reference: few where its own accidents are most of the difference, so windows resemble each other."""
Figure = dict[str, Any]


def measured(windows: int, workers: int) -> Iterator[Figure]:
    """A figure for each population and size."""
    jobs = [(name, size) for name in ("taxi", "synthetic") for size in reversed(SIZES)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(partial(_measured, windows=windows), jobs)


def _measured(job: tuple[str, int], windows: int) -> Figure:
    name, size = job
    begin = time.perf_counter()
    chance = np.random.default_rng([size, len(name)])
    population = populations.taxi() if name == "taxi" else populations.synthetic(chance)
    each = _FEW[name] if size * 10 > REFERENCE_ROWS else _MANY
    found = [found for _ in range(-(-windows // each)) for found in _signals(population, size, each, chance)]
    loose, strict, signals = np.mean(found[:windows], axis=0)
    return {
        "part": "clean",
        "data": name,
        "rows": size,
        "windows": windows,
        "references": -(-windows // each),
        "signal": round(float(signals), 4),
        "below_5_percent": round(float(loose), 4),
        "below_1_percent": round(float(strict), 4),
        "seconds": round(time.perf_counter() - begin, 1),
    }


def _signals(
    population: populations.Population, size: int, windows: int, chance: np.random.Generator
) -> Iterator[tuple[bool, bool, bool]]:
    """Whether windows have a p-value below each level, and a signal: its floors would hide a wrong level."""
    reference = population.reference(chance, REFERENCE_ROWS)
    for _ in range(windows):
        window = population.window(chance.integers(population.rows, size=size))
        decisions = decide(reference, window)
        least = min(each.p_adjusted for each in decisions)
        yield least <= 0.05, least <= 0.01, any(each.signal for each in decisions)
