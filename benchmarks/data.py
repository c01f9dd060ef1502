"""Any number of Chicago taxi trips: the real ones repeated, or with many distinct values."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd

DISTINCT_COMPANIES = 400_000


def taxi_csv() -> Path:
    """The 15,002 trips in the tfx wheel."""
    spec = importlib.util.find_spec("tfx")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "examples/chicago_taxi_pipeline/data/simple/data.csv"


def write_trips(folder: Path, rows: int, *, distinct: bool = False) -> Path:
    """Writes `trips.csv` with a number of rows into a folder, unless it exists, and returns the folder.

    Args:
        folder: The folder; created if missing.
        rows: The number of rows; the real trips are repeated in order.
        distinct: Give every trip distinct floats and one of `DISTINCT_COMPANIES` companies: repeated trips hide the
            cost of many distinct values.
    """
    target = folder / "trips.csv"
    if target.exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / ".trips.csv.partial"
    trips = pd.read_csv(taxi_csv(), dtype=str, keep_default_na=False)
    with partial.open("w") as file:
        for begin in range(0, rows, len(trips)):
            block = trips.iloc[: min(len(trips), rows - begin)]
            block = _distinct(block, begin) if distinct else block
            block.to_csv(file, index=False, header=begin == 0)
    partial.rename(target)
    return folder


def _distinct(block: pd.DataFrame, begin: int) -> pd.DataFrame:
    random = np.random.default_rng(begin)
    companies = random.zipf(1.2, len(block)) % DISTINCT_COMPANIES
    uniform = random.integers(0, DISTINCT_COMPANIES, len(block))
    names = np.where(random.random(len(block)) < 0.5, companies, uniform)
    changed = block.copy()
    changed["company"] = [hashlib.md5(str(name).encode()).hexdigest()[:20] for name in names]
    for column in ("fare", "trip_miles", "pickup_latitude", "pickup_longitude", "tips"):
        values = pd.to_numeric(changed[column], errors="coerce").to_numpy()
        noise = np.abs(values * (1 + random.normal(0, 0.05, len(block))))
        changed[column] = ["" if np.isnan(value) else f"{value:.6f}" for value in noise]
    return changed
