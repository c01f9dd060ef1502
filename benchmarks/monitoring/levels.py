"""How often a window in which nothing has changed has a signal.

Windows of several sizes have their training data in common, since what is known of these takes longer than a window.
Large windows of one reference resemble each other: its own accidents are most of the difference. So the intervals count
the windows as if they were fewer, by as much as the shares of the references vary more than those of independent
windows would.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import lru_cache, partial
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.monitoring import populations
from benchmarks.monitoring.figures import interval
from components.monitoring.calibration.decide import decide

SIZES = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000)
REFERENCE_ROWS = 10_000
_EACH = {"taxi": 2, "synthetic": 4}
"""Windows of one reference and size."""
_COUNTED = ("signal", "below_5_percent", "below_1_percent")
Figure = dict[str, Any]


def measured(windows: int, workers: int, sizes: Sequence[int] = SIZES, seed: int = 0) -> Iterator[Figure]:
    """A figure for each population and size; a line for every tenth reference."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for data, each in _EACH.items():
            begin, references = time.perf_counter(), -(-windows // each)
            jobs = [
                pool.submit(partial(found, data, number, min(each, windows), sizes, seed))
                for number in range(references)
            ]
            for done, _ in enumerate(as_completed(jobs), 1):
                if done % 10 == 0:
                    print(
                        f"  {data}: {done} of {references} references, {time.perf_counter() - begin:.0f} s", flush=True
                    )
            yield from figures(data, sizes, np.stack([job.result() for job in jobs]))


@lru_cache(maxsize=1)
def _population(data: str) -> populations.Population:
    """The same for all references, in every process."""
    return populations.taxi() if data == "taxi" else populations.synthetic(np.random.default_rng(1))


def found(data: str, number: int, windows: int, sizes: Sequence[int], seed: int = 0) -> np.ndarray:
    """What windows of each size show beside new training data: bool, (sizes, windows, `_COUNTED`)."""
    chance = np.random.default_rng([seed, number, len(data)])
    population = _population(data)
    reference = population.reference(chance, REFERENCE_ROWS)
    outcomes = np.zeros((len(sizes), windows, len(_COUNTED)), dtype=bool)
    for index, size in enumerate(sizes):
        for window in range(windows):
            decisions = decide(reference, population.window(chance.integers(population.rows, size=size)))
            least = min(each.p_adjusted for each in decisions)
            # The floors of signals would hide a wrong level.
            outcomes[index, window] = any(each.signal for each in decisions), least <= 0.05, least <= 0.01
    return outcomes


def figures(data: str, sizes: Sequence[int], outcomes: np.ndarray) -> Iterator[Figure]:
    """The shares of windows: (references, sizes, windows, `_COUNTED`)."""
    references, _, windows, _ = outcomes.shape
    for size, each in zip(sizes, outcomes.swapaxes(0, 1), strict=True):
        shares = {name: _share(each[..., index]) for index, name in enumerate(_COUNTED)}
        named = {"part": "clean", "data": data, "rows": size, "windows": references * windows, "references": references}
        yield named | {key: value for name, share in shares.items() for key, value in _named(name, share)}


def _named(name: str, share: tuple[float, str]) -> Iterator[tuple[str, float | str]]:
    yield name, share[0]
    yield f"{name}_interval", share[1]


def _share(hits: np.ndarray) -> tuple[float, str]:
    """The share of hits, (references, windows), and its interval."""
    share = float(hits.mean())
    alike = _alike(hits)
    return round(share, 4), interval(hits.sum() / alike, hits.size / alike)


def _alike(hits: np.ndarray) -> float:
    """By how much the variance of the share is greater than if all windows were independent; at least 1."""
    share, (references, windows) = hits.mean(), hits.shape
    independent = share * (1 - share) / windows
    return max(1.0, float(hits.mean(axis=1).var(ddof=1) / independent)) if independent > 0 and references > 1 else 1.0
