"""Small windows of a small model, with decisions as a test would make them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from components.monitoring.alarms.alarm import Alarm, Change, from_table
from components.monitoring.alarms.facts import Facts, Part, Traffic
from components.monitoring.alarms.settings import AlarmSettings
from components.monitoring.alarms.update import refresh, update
from components.monitoring.store import Store
from components.monitoring.summaries import Bins, Summary
from components.monitoring.window import Window

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Decided:
    """A decision of the calibration."""

    column: str
    p_adjusted: float
    test: str = "values"
    effect: float = 0.42
    effect_unit: str = "standard deviations"
    signal: bool = True
    importance: float | None = 0.3
    tests: float = 1.0
    shared: float = 0.0
    floor: float | None = 0.05
    level: float | None = 0.05

    @property
    def p_value(self) -> float:
        return self.p_adjusted


def numbers(name: str, values: Iterable[float], missing: int = 0) -> Summary:
    found = np.array(list(values), float)
    edges = np.linspace(0, 20, 81)
    counts = np.bincount(np.searchsorted(edges, found), minlength=82)
    return Summary(
        name,
        Bins("number", edges),
        rows=len(found) + missing,
        missing=missing,
        counts=counts.astype(np.int64),
        mean=float(found.mean()),
        variance=float(found.var()),
        low=float(found.min()),
        high=float(found.max()),
    )


def categories(name: str, counts: Mapping[str, int], known: Iterable[str], missing: int = 0) -> Summary:
    values = tuple(known)
    new = {value: count for value, count in counts.items() if value not in values}
    return Summary(
        name,
        Bins("category", values=values),
        rows=sum(counts.values()) + missing,
        missing=missing,
        counts=np.array([counts.get(value, 0) for value in values], np.int64),
        unseen=new,
        unseen_count=sum(new.values()),
    )


TRAINING = {
    "trip_miles": numbers("trip_miles", np.random.default_rng(0).gamma(2, 1.45, 5000)),
    "tips": numbers("tips", np.random.default_rng(1).gamma(2, 1, 5000), missing=5),
    "payment_type": categories("payment_type", {"Cash": 2400, "Credit Card": 2600}, ["Credit Card", "Cash"]),
}


@dataclass
class Watch:
    """A model's tables, and what the monitor does with a window."""

    folder: Path
    settings: AlarmSettings = field(default_factory=AlarmSettings)

    @property
    def store(self) -> Store:
        return Store(str(self.folder / "taxi"))

    def window(self, number: int) -> Window:
        return Window("taxi", START + number * HOUR, START + (number + 1) * HOUR, "1h")

    def see(
        self,
        number: int,
        *decisions: Decided,
        rows: int = 1000,
        version: int = 1,
        part: str = "",
        later: timedelta = timedelta(),
        **others: Any,
    ) -> list[Change]:
        """The window with this number, computed when it has ended."""
        summaries = others.pop("summaries", {})
        parts = {(version, part): Part(rows, decisions, summaries, TRAINING)} if rows else {}
        traffic = others.pop("traffic", {version: Traffic(rows)} if rows else {})
        window = self.window(number)
        return update(self.store, window, Facts(parts, traffic, **others), window.end + later, self.settings)

    def refresh(self, now: datetime) -> list[Change]:
        return refresh(self.store, "taxi", now, self.settings)

    @property
    def alarms(self) -> list[Alarm]:
        return sorted(from_table(self.store.read("alarms")), key=lambda alarm: (alarm.since, alarm.column))

    @property
    def states(self) -> list[str]:
        return [alarm.state for alarm in self.alarms]


STRONG = Decided("trip_miles", 1e-9)
WEAK = Decided("trip_miles", 0.01)
