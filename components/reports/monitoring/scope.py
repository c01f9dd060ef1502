"""What of a model's tables is shown: a version, a slice, a range of time; and the windows in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.monitoring.store import Filter, Store

MOST = 1000
"""The windows that are shown if no range of time is asked for: the latest."""


@dataclass(frozen=True)
class Scope:
    """Which rows are shown.

    Attributes:
        version: The version that answered; None for all.
        slice: The slice; empty for all rows.
        since: The first window's start; None for the first.
        until: Where the last window starts at the latest, exclusive; None for the last.
    """

    version: int | None = None
    slice: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def filters(self, *others: Filter) -> list[Filter]:
        """The conditions on the rows of windows."""
        return [*self.during(), *self._answered(), ("slice", "=", self.slice), *others]

    def during(self) -> list[Filter]:
        """The conditions on windows alone."""
        since: list[Filter] = [("window_start", ">=", self.since)] if self.since else []
        return [*since, ("window_start", "<", self.until)] if self.until else since

    def _answered(self) -> list[Filter]:
        return [] if self.version is None else [("version", "=", self.version)]

    def at(self, start: datetime) -> Scope:
        """The window that starts then."""
        return replace(self, since=start, until=datetime.fromtimestamp(start.timestamp() + 1e-6, UTC))


EVERY = Scope()
"""All rows."""


@dataclass(frozen=True)
class Windows:
    """The windows in a scope, in order of time.

    Attributes:
        starts: Their starts.
        ends: Their ends.
        length: Their length as it was asked for, such as 1h.
        rows: The rows in each.
    """

    starts: Sequence[datetime]
    ends: Sequence[datetime]
    length: str
    rows: Sequence[int]

    @property
    def seconds(self) -> float:
        """How long a window is."""
        return (self.ends[-1] - self.starts[-1]).total_seconds() if self.starts else 0.0

    @property
    def across(self) -> tuple[float, float]:
        """The first start and the last end, in seconds."""
        return self.starts[0].timestamp(), max(self.ends[-1].timestamp(), self.starts[0].timestamp() + 1)

    @property
    def last_with_rows(self) -> datetime | None:
        """The start of the latest window that has rows; of the latest one if none has."""
        with_rows = [start for start, rows in zip(self.starts, self.rows, strict=True) if rows]
        return next(reversed(with_rows or self.starts), None)

    def before(self, start: datetime) -> datetime | None:
        """The start of the window before one."""
        return max((each for each in self.starts if each < start), default=None)

    def after(self, start: datetime) -> datetime | None:
        """The start of the window after one."""
        return min((each for each in self.starts if each > start), default=None)


def windows(store: Store, scope: Scope, most: int = MOST) -> Windows:
    """The windows in a scope; the latest so many if it has no beginning."""
    columns = ["window_start", "window_end", "window", "rows"]
    found = store.read("windows", scope.during(), columns).sort_by("window_start") if store.open("windows") else None
    if found is None or not found.num_rows:
        return Windows([], [], "", [])
    if scope.since is None:
        found = found.slice(max(0, found.num_rows - most))
    starts, ends, length, rows = (found[name].to_pylist() for name in columns)
    return Windows(starts, ends, length[-1], rows)


def limited(store: Store, scope: Scope) -> tuple[Scope, Windows]:
    """The scope with a beginning, and its windows."""
    found = windows(store, scope)
    return (replace(scope, since=found.starts[0]) if found.starts else scope), found


def read(store: Store, name: str, filters: Sequence[Filter], columns: Sequence[str]) -> pa.Table:
    """Rows in order of time, with the columns that are needed; none if the table does not exist."""
    if store.open(name) is None:
        return store.read(name)
    return store.read(name, filters, columns).sort_by("window_start")


def seconds(rows: pa.Table, column: str = "window_start") -> NDArray[np.float64]:
    """Times in seconds since 1970."""
    found: NDArray[np.float64] = pc.cast(rows[column], pa.int64()).to_numpy() / 1e6
    return found


def numbers(rows: pa.Table, column: str) -> NDArray[np.float64]:
    """Numbers; NaN where there is none."""
    found: NDArray[np.float64] = pc.cast(rows[column], pa.float64()).to_numpy(zero_copy_only=False)
    return found


def element(rows: pa.Table, column: str, index: int) -> NDArray[np.float64]:
    """One element of each list; NaN where the list is missing or too short."""
    found = [each[index] if each is not None and len(each) > index else None for each in rows[column].to_pylist()]
    return np.array(found, np.float64)


def by(rows: pa.Table, column: str) -> dict[object, pa.Table]:
    """The rows by the values of a column, in order of the values; rows without one are left out."""
    values = sorted(each for each in pc.unique(rows[column]).to_pylist() if each is not None)
    return {value: rows.filter(pc.equal(rows[column], value)) for value in values}
