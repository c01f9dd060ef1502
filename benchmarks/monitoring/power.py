"""How often a change of one column is found in a single window of 1,000 rows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.monitoring import best
from benchmarks.monitoring.figures import interval
from benchmarks.monitoring.populations import MISSING, SHARES, Population, mixed, with_unseen
from components.monitoring.calibration.decide import MISSING as MISSING_VALUES
from components.monitoring.calibration.decide import UNSEEN, VALUES, decide
from components.monitoring.summaries import Reference, Summary

ROWS = 1_000
SHIFT = 0.15
WANTED = 0.8
_EACH = 10
"""Windows of one reference."""
JOBS = ((17, 10_000), (17, 100_000), (100, 10_000), (100, 100_000))
Figure = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """A change of a column in a window, and the test that has to find it."""

    name: str
    column: str
    test: str
    summary: Summary
    shares: tuple[float, float] | None = None
    """Before and after, if it is a share that grows."""


def measured(windows: int, workers: int) -> Iterator[Figure]:
    """A figure for each change, number of columns and size of the training data."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for found in pool.map(partial(_measured, windows=windows), JOBS):
            yield from found


def _measured(job: tuple[int, int], windows: int) -> list[Figure]:
    columns, rows = job
    chance = np.random.default_rng([columns, rows])
    population = mixed(chance, columns)
    hits: dict[str, list[bool]] = {}
    known: dict[str, Change] = {}
    for number in range(windows):
        if number % _EACH == 0:
            reference = population.reference(chance, rows)
        chosen = chance.integers(population.rows, size=ROWS)
        window = population.window(chosen)
        for change in changes(population, chosen, window, chance):
            known[change.name] = change
            hits.setdefault(change.name, []).append(_is_found(reference, window, change))
    return [
        {
            "part": "power",
            "change": name,
            "columns": columns,
            "reference_rows": rows,
            "windows": windows,
            "power": round(float(np.mean(found)), 3),
            "interval": interval(sum(found), windows),
            "best": _best(known[name], rows, columns),
            "wanted": WANTED,
        }
        for name, found in hits.items()
    ]


def _is_found(reference: Reference, window: dict[str, Summary], change: Change) -> bool:
    decisions = decide(reference, {**window, change.column: change.summary})
    return any(each.signal for each in decisions if (each.column, each.test) == (change.column, change.test))


def _best(change: Change, reference_rows: int, columns: int) -> float | None:
    """The power of the best test of this change alone; None where there is no simple one."""
    if change.shares:
        return round(best.of_share(*change.shares, ROWS, reference_rows, columns), 3)
    return round(best.of_shift(SHIFT, ROWS, reference_rows, columns), 3) if change.name.startswith("shift") else None


def changes(
    population: Population, chosen: np.ndarray, window: dict[str, Summary], chance: np.random.Generator
) -> Iterator[Change]:
    """The changes that have to be found."""
    values = population.columns["number_1"][1][chosen]
    shifted, miles = values + SHIFT, values * 1.609344
    yield Change(f"shift of {SHIFT} sd", "number_1", VALUES, population.changed("number_1", shifted))
    yield Change("unit: km for miles", "number_1", VALUES, population.changed("number_1", miles))
    yield from _shares(population, chosen, chance)
    yield from _missing(population, chosen, chance)
    name = f"share_{SHARES[-1]:g}"
    yield Change("a new category of 1 %", name, UNSEEN, with_unseen(window[name], chance, 0.01), (0.0, 0.01))


def _shares(population: Population, chosen: np.ndarray, chance: np.random.Generator) -> Iterator[Change]:
    for share in SHARES:
        name = f"share_{share:g}"
        values = population.columns[name][1][chosen]
        more = np.where(chance.random(len(values)) < 0.05 / (1 - share), 0, values)
        yield Change(
            f"5 points more than {share:.0%}", name, VALUES, population.changed(name, more), (share, share + 0.05)
        )


def _missing(population: Population, chosen: np.ndarray, chance: np.random.Generator) -> Iterator[Change]:
    numbers = [name for name, (kind, _) in population.columns.items() if kind == "number"]
    for share, name in zip(MISSING, reversed(numbers), strict=False):
        values = population.columns[name][1][chosen]
        more = np.where(chance.random(len(values)) < 0.02 / (1 - share), np.nan, values)
        yield Change(
            f"2 % more missing than {share:.1%}",
            name,
            MISSING_VALUES,
            population.changed(name, more),
            (share, share + 0.02),
        )
