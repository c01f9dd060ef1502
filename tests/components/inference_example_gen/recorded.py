"""A model's inference table and labels, filled with real trips."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from components.inference import table
from components.inference.columns import INPUT
from components.monitoring.labels.add import add
from components.monitoring.store import Store

START = datetime(2026, 3, 2, tzinfo=UTC)
STEP = timedelta(seconds=1)
LABEL = "tips"


def read_trips(file: Path) -> pa.Table:
    """Real trips in random order."""
    found = pyarrow.csv.read_csv(file, convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True))
    return found.take(np.random.default_rng(0).permutation(found.num_rows))


class Recorded:
    """The tables of the model `chicago_taxi`.

    Attributes:
        tables: The folder with the tables of all models.
        store: The model's tables.
    """

    def __init__(self, tables: Path) -> None:
        self.tables, self.store = tables, Store(f"{tables}/chicago_taxi")
        self._requests = 0

    def trips(self, trips: pa.Table, *, labelled: bool = True, **facts: Any) -> list[str]:
        """Records a request a second for each trip, with its label, and returns the requests' ids."""
        rows = self.rows(trips, **facts)
        self.append(rows)
        ids: list[str] = rows["request_id"].to_pylist()
        if labelled:
            self.labels(ids, trips[LABEL])
        return ids

    def rows(self, trips: pa.Table, **facts: Any) -> pa.Table:
        """Rows of the inference table, not written yet."""
        count = trips.num_rows
        times = [START + (self._requests + n) * STEP for n in range(count)]
        known: Mapping[str, Any] = {
            "request_id": [f"request-{self._requests + n}" for n in range(count)],
            "row": pa.array([0] * count, pa.int32()),
            "time": pa.array(times, pa.timestamp("us", "UTC")),
            "model": ["chicago_taxi"] * count,
            "version": pa.array([1] * count, pa.int64()),
            "status": ["OK"] * count,
            "share": [1.0] * count,
        }
        changed = {name: pa.array([each] * count, pa.array(known[name]).type) for name, each in facts.items()}
        inputs = {INPUT + name: trips[name] for name in trips.column_names if name != LABEL}
        self._requests += count
        return pa.table({**known, **changed, **inputs})

    def append(self, rows: pa.Table) -> None:
        """Appends rows to the inference table."""
        table.append(self.store.root, rows)

    def labels(self, ids: list[str], values: Any, name: str = LABEL, time: datetime | None = None) -> None:
        """Adds labels to requests."""
        found = pa.table({"request_id": ids, name: values, "known": [time or START + timedelta(days=1)] * len(ids)})
        add(self.store, found, time="known")

    @property
    def window(self) -> dict[str, str]:
        """The parameters of a window with all requests."""
        return {"window_start": START.isoformat(), "window_end": (START + self._requests * STEP).isoformat()}
