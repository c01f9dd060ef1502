"""A model's inference table, filled with real trips."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from components.inference import table
from components.inference.columns import INPUT
from components.monitoring.store import Store

COLUMNS = ["trip_miles", "fare", "trip_seconds", "payment_type"]
HOUR, ROWS = timedelta(hours=1), 1000


def read_trips(file: Path) -> pa.Table:
    """Real trips in random order."""
    found = pyarrow.csv.read_csv(file).select(COLUMNS)
    return found.take(np.random.default_rng(0).permutation(found.num_rows))


class Served:
    """A model's inference table, filled hour by hour; and a clock."""

    def __init__(self, tables: Path, trips: pa.Table, start: datetime) -> None:
        self.tables, self.store, self._start = tables, Store(f"{tables}/taxi"), start
        self._trips, self._hours = trips, 0

    @property
    def now(self) -> datetime:
        """A little after the last window."""
        return self._start + self._hours * HOUR + timedelta(minutes=2)

    def hours(self, count: int, miles: float = 1.0, version: int = 7) -> None:
        """Records as many hours of trips, with the miles in another unit."""
        for _ in range(count):
            rows = self._trips[10_000 + self._hours % 5 * ROWS :][:ROWS]
            table.append(self.store.root, self._recorded(rows, miles, version))
            self._hours += 1

    def _recorded(self, trips: pa.Table, miles: float, version: int) -> pa.Table:
        count = trips.num_rows
        times = [self._start + self._hours * HOUR + n * timedelta(seconds=3) for n in range(count)]
        facts = {
            "request_id": [f"{self._hours}-{n}" for n in range(count)],
            "row": pa.array([0] * count, pa.int32()),
            "time": pa.array(times, pa.timestamp("us", "UTC")),
            "date": pa.array([each.date() for each in times]),
            "model": ["taxi"] * count,
            "version": pa.array([version] * count, pa.int64()),
            "latency_ms": pa.array([3.0] * count, pa.float32()),
            "status": ["OK"] * count,
            "share": [1.0] * count,
        }
        inputs = {INPUT + name: trips[name] for name in COLUMNS}
        inputs["input_trip_miles"] = pc.multiply(trips["trip_miles"], miles)
        return pa.table({**facts, **inputs})
