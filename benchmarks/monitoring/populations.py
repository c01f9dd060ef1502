"""Populations to draw training data and windows from, and changes of windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from benchmarks.data import taxi_csv
from components.monitoring.summaries import Bins, Kind, Reference, Summary

_SAMPLE = 10_000
_EDGES = 999
_UNSEEN, _MISSING = -3, -1


@dataclass
class Population:
    """Rows as columns: numbers with NaN, or the numbers of categories with -1, where a value is missing."""

    columns: Mapping[str, tuple[Kind, np.ndarray]]
    bins: dict[str, Bins] = field(default_factory=dict)
    codes: dict[str, np.ndarray] = field(default_factory=dict)
    """The bins of the different values of each column."""

    @cached_property
    def different(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """The different values of each column, and which of them each row has: found once for all training data."""
        found = {name: np.unique(values, return_inverse=True) for name, (_, values) in self.columns.items()}
        return {name: (values, places.astype(np.int32)) for name, (values, places) in found.items()}

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values()))[1])

    def reference(self, chance: np.random.Generator, rows: int) -> Reference:
        """Training data, drawn with replacement; windows are counted in its bins from now on."""
        return self.trained(chance.integers(self.rows, size=rows), chance)

    def trained(self, chosen: np.ndarray, chance: np.random.Generator) -> Reference:
        """Training data of some rows."""
        for name, (kind, values) in self.columns.items():
            self.bins[name] = _bins(kind, values[chosen])
            self.codes[name] = self.coded(name, self.different[name][0])
        sample = chance.permutation(chosen)[:_SAMPLE]
        codes = np.stack([self.codes_of(name, sample) for name in self.columns], axis=1).astype(np.int32)
        return Reference(1, "", self.window(chosen), codes, np.full(len(sample), np.nan))

    def window(self, chosen: np.ndarray) -> dict[str, Summary]:
        """The summaries of rows."""
        return {name: self.summary(name, self.codes_of(name, chosen)) for name in self.columns}

    def codes_of(self, name: str, chosen: np.ndarray) -> np.ndarray:
        """The numbers of the bins of rows."""
        return self.codes[name][self.different[name][1][chosen]]

    def changed(self, name: str, values: np.ndarray) -> Summary:
        """The summary of a column with other values."""
        return self.summary(name, self.coded(name, values))

    def coded(self, name: str, values: np.ndarray) -> np.ndarray:
        """The numbers of the bins of values."""
        bins = self.bins[name]
        if bins.kind == "number":
            return np.where(np.isnan(values), _MISSING, np.searchsorted(bins.edges, values))
        codes = np.full(int(values.max(initial=-1)) + 2, _UNSEEN)
        for code, value in enumerate(bins.values):
            if int(value) < len(codes) - 1:
                codes[int(value)] = code
        codes[-1] = _MISSING
        return codes[values]

    def summary(self, name: str, codes: np.ndarray) -> Summary:
        """The summary of coded values."""
        counts = np.bincount(codes + 3, minlength=self.bins[name].size + 3)
        return Summary(name, self.bins[name], len(codes), int(counts[2]), counts[3:], unseen_count=int(counts[0]))


def _bins(kind: Kind, values: np.ndarray) -> Bins:
    if kind == "category":
        counts = np.bincount(values[values >= 0])
        order = np.argsort(-counts, kind="stable")
        return Bins(kind, values=tuple(str(value) for value in order if counts[value]))
    present = values[~np.isnan(values)]
    different = np.unique(present)
    if len(different) > _EDGES:
        shares = np.arange(1, _EDGES + 1) / (_EDGES + 1)
        return Bins(kind, np.unique(np.quantile(present, shares, method="inverted_cdf")))
    return Bins(kind, different[:-1])


def taxi() -> Population:
    """Chicago's taxi trips: 15,002 rows, 18 columns; what is not a quantity is a category."""
    categories = {"payment_type", "company", "trip_start_month", "trip_start_hour", "trip_start_day"}
    table = pd.read_csv(taxi_csv(), dtype=str, keep_default_na=False)
    categories |= {name for name in table if name.endswith(("_area", "_tract"))}
    return Population({name: _column(table[name], name in categories) for name in table})


def _column(texts: pd.Series, is_category: bool) -> tuple[Kind, np.ndarray]:
    if not is_category:
        return "number", pd.to_numeric(texts, errors="coerce").to_numpy(dtype=float)
    return "category", pd.factorize(texts.where(texts != ""))[0]


def numbers(chance: np.random.Generator, columns: int, rows: int = 200_000) -> dict[str, tuple[Kind, np.ndarray]]:
    """Normal columns with five common factors: correlations of 0.25 within a fifth of them."""
    factors = chance.normal(size=(rows, 5))
    made = (0.5 * factors[:, index % 5] + np.sqrt(0.75) * chance.normal(size=rows) for index in range(columns))
    return {f"number_{index}": ("number", values) for index, values in enumerate(made)}


def synthetic(chance: np.random.Generator, rows: int = 100_000) -> Population:
    """100 columns: 60 numbers, a third of them skewed, and 40 categories of 2 to 20,000 values."""
    columns = numbers(chance, 60, rows)
    for index in range(0, 60, 3):
        kind, values = columns[f"number_{index}"]
        columns[f"number_{index}"] = kind, np.exp(values)
    for index in range(40):
        size = (2, 3, 5, 10, 30, 100, 1000, 20_000)[index % 8]
        shares = 1 / np.arange(1, size + 1) ** (0.3 if size == 20_000 else 1.0)
        columns[f"category_{index}"] = "category", chance.choice(size, size=rows, p=shares / shares.sum())
    return Population(columns)


def mixed(chance: np.random.Generator, columns: int, rows: int = 200_000) -> Population:
    """Normal numbers, of which the last five have missing values, and the first have the categories of `SHARES`."""
    made = numbers(chance, columns - len(SHARES), rows)
    for share, (name, (kind, values)) in zip(MISSING, reversed(list(made.items())), strict=False):
        made[name] = kind, np.where(chance.random(rows) < share, np.nan, values)
    for share in SHARES:
        others = 1 + (chance.random(rows) < 0.5)
        made[f"share_{share:g}"] = "category", np.where(chance.random(rows) < share, 0, others)
    return Population(made)


SHARES = (0.02, 0.05, 0.1, 0.2, 0.5)
"""Shares of the first category of a column."""
MISSING = (0.0, 0.005, 0.01, 0.02, 0.05)
"""Shares of missing values of a column."""


def with_unseen(summary: Summary, chance: np.random.Generator, share: float) -> Summary:
    """A column in which a new category took the place of others in a share of the rows."""
    count = int(chance.binomial(summary.rows, share))
    left = summary.counts - chance.multivariate_hypergeometric(summary.counts, count)
    return replace(summary, counts=left, unseen_count=summary.unseen_count + count)
