"""A small model whose traffic is watched: training data as Examples, and rows as a server records them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.contract.artifacts import Examples
from components.contract.errors import UserError
from components.data.examples import to_tfxio_form
from components.inference import table
from components.monitoring.passes.compute import Computed
from components.monitoring.passes.run import Watch
from components.monitoring.passes.settings import Settings
from components.monitoring.passes.trained import Trained
from components.monitoring.store import Store

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


def columns(rows: int, seed: int = 0, shift: float = 0.0) -> dict[str, pa.Array]:
    """Columns of numbers and categories."""
    random = np.random.default_rng(seed)
    return {
        "miles": pa.array(random.normal(shift, 1.0, rows)),
        "company": pa.array(random.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1])),
    }


def trained(folder: Path, version: int = 1, given: Mapping[str, pa.Array] | None = None, **more: Any) -> Trained:
    """A version that was trained on 5,000 rows."""
    path = folder / f"examples-{version}"
    (path / "Split-train").mkdir(parents=True, exist_ok=True)
    rows = to_tfxio_form(pa.RecordBatch.from_pydict(dict(given or columns(5000, 99))))
    pq.write_table(pa.Table.from_batches([rows]), path / "Split-train" / "data-00000.parquet")
    examples = Examples(path, {"split_names": '["train"]'}, str(path))
    return Trained(version, f"sha256:{version:064}", examples, "train", **more)


def recorded(
    times: list[datetime], inputs: Mapping[str, pa.Array] | None = None, version: int | None = 1, status: str = "OK"
) -> pa.Table:
    """Rows of the inference table, one request each."""
    rows = len(times)
    facts = {
        "request_id": pa.array([f"{when:%d%H%M%S%f}-{number}" for number, when in enumerate(times)]),
        "row": pa.array([0] * rows, pa.int32()),
        "time": pa.array(times, pa.timestamp("us", "UTC")),
        "model": pa.array(["m"] * rows),
        "version": pa.array([version] * rows, pa.int64()),
        "status": pa.array([status] * rows),
        "latency_ms": pa.array([2.0] * rows),
    }
    own = columns(rows, seed=int(times[0].timestamp()) if times else 0) if inputs is None else inputs
    return pa.table({**facts, **{f"input_{name}": column for name, column in own.items()}})


def spread(start: datetime, rows: int, over: timedelta = HOUR) -> list[datetime]:
    """Times that are evenly spread."""
    return [start + over * number / rows for number in range(rows)]


@dataclass
class Watched:
    """A model with its tables, and a monitor."""

    folder: Path
    settings: Settings = field(default_factory=Settings)
    versions: dict[int, Trained] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    root: str = ""

    def __post_init__(self) -> None:
        self.store = Store(self.root or str(self.folder / "tables" / "m"))
        self.versions = self.versions or {1: trained(self.folder)}
        self.watch = self.restarted()

    def restarted(self) -> Watch:
        """Another process's monitor."""
        self.watch = Watch(self.store, "m", self.find, self.settings, self.folder / "references")
        return self.watch

    def find(self, version: int) -> Trained:
        """A version, if there is one."""
        self.asked.append(version)
        if version not in self.versions:
            raise UserError(f"there is no version {version}", fix="push it")
        return self.versions[version]

    def add(self, *args: Any, **kwargs: Any) -> None:
        """Appends rows."""
        table.append(self.store.root, recorded(*args, **kwargs))

    def pass_over(self, now: datetime) -> list[Computed]:
        """One pass."""
        return list(self.watch.pass_over(now))

    def rows(self) -> dict[datetime, int]:
        """The rows of every computed window, each of which must be there once."""
        found = self.store.read("windows").sort_by("window_start").to_pylist()
        assert len({each["window_start"] for each in found}) == len(found)
        return {each["window_start"]: each["rows"] for each in found}

    def profile(self, column: str, start: datetime = START) -> dict[str, Any]:
        """The row of a column in a window, which must be there once."""
        where = [("column", "=", column), ("window_start", "=", start), ("slice", "=", "")]
        [found] = self.store.read("profile", where).to_pylist()
        assert isinstance(found, dict)
        return found
