"""A written inference table and outcomes of a simulated experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.inference import table

START = datetime(2026, 11, 1, tzinfo=UTC)
ARMS = ("stable", "canary")


@dataclass(frozen=True)
class World:
    """What was written, as arrays of requests.

    Attributes:
        root: The folder with the tables of all models.
        rows: The rows of the inference table.
        users: The user of each request.
        arms: The number of its arm.
        seconds: When it came, since `START`.
        tips: What it brought; 0 for nothing.
    """

    root: Path
    rows: pa.Table
    users: np.ndarray
    arms: np.ndarray
    seconds: np.ndarray
    tips: np.ndarray

    def settings(self, **changed: Any) -> dict[str, Any]:
        """The settings of an experiment with it."""
        return {
            "name": "new-model",
            "model": "taxi",
            "arms": {name: {"target": name, "share": 0.5} for name in ARMS},
            "control": "stable",
            "start": str(START),
            "unit": "feature:user",
            "window": "1d",
            "outcomes": [{"source": str(self.root / "tips.parquet"), "name": "tips", "id": "request_id", "time": "at"}],
            "metrics": [{"name": "tipped", "kind": "proportion", "column": "tips"}],
            **changed,
        }


def write(
    root: Path,
    *,
    requests: int = 4000,
    users: int = 1000,
    days: float = 4,
    rates: tuple[float, ...] = (0.1, 0.1),
    shares: tuple[float, ...] = (0.5, 0.5),
    late: timedelta = timedelta(minutes=10),
    columns: Mapping[str, Any] | None = None,
    seed: int = 1,
) -> World:
    """Writes a table in which users keep their arm, and the tips of their requests."""
    chance = np.random.default_rng(seed)
    user = chance.integers(0, users, requests)
    arm = (chance.random(users) >= shares[0]).astype(int)[user]
    seconds = np.sort(chance.uniform(0, days * 86_400, requests)).round(6)
    tips = (chance.random(requests) < np.asarray(rates)[arm]) * chance.gamma(4, 1, requests)
    times = [START + timedelta(seconds=float(each)) for each in seconds]
    given = {
        "request_id": [f"r{index}" for index in range(requests)],
        "row": pa.array([0] * requests, pa.int32()),
        "time": pa.array(times, pa.timestamp("us", "UTC")),
        "model": ["taxi"] * requests,
        "version": pa.array(1 + arm, pa.int64()),
        "label": pa.nulls(requests, pa.string()),
        "target": [ARMS[each] for each in arm],
        "api": ["Predict"] * requests,
        "protocol": ["REST"] * requests,
        "latency_ms": pa.array(chance.gamma(4, 3, requests), pa.float32()),
        "status": ["OK"] * requests,
        "error": pa.nulls(requests, pa.string()),
        "share": np.ones(requests),
        "input_user": [f"u{each}" for each in user],
        "input_city": [("Paris", "Rome", "Oslo")[each % 3] for each in user],
        "output_score": np.clip(chance.normal(0.3, 0.2, requests), 0.01, 0.99),
        **(columns or {}),
    }
    rows = pa.table(given)
    table.append(str(root / "taxi"), rows)
    outcomes(root, rows, times, tips, late)
    return World(root, rows, user, arm, seconds, tips)


def outcomes(root: Path, rows: pa.Table, times: list[datetime], tips: np.ndarray, late: timedelta) -> None:
    """Writes the tips, which come some time after their requests."""
    kept = np.flatnonzero(tips)
    at = pa.array([times[index] + late for index in kept], pa.timestamp("us", "UTC"))
    ids = rows["request_id"].take(pa.array(kept))
    keys = rows["input_user"].take(pa.array(kept))
    pq.write_table(pa.table({"request_id": ids, "user": keys, "tip": tips[kept], "at": at}), root / "tips.parquet")
