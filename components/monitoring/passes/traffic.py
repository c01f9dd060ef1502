"""The requests of a window as they were recorded, by version: what alarms on errors and latency are made of."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.monitoring.alarms.facts import Traffic
from components.monitoring.alarms.traffic import by_latency

COLUMNS = ["version", "row", "status", "latency_ms"]


def traffic(batches: Iterable[pa.RecordBatch]) -> dict[int | None, Traffic]:
    """The requests by version; None for those that no version answered.

    Args:
        batches: The columns `COLUMNS` of the inference table.
    """
    tables = [pa.Table.from_batches([batch]) for batch in batches]
    if not tables:
        return {}
    rows = pa.concat_tables(tables, promote_options="default")
    heads = rows.filter(pc.equal(rows["row"], 0))
    return {version: _of(heads, version) for version in sorted(pc.unique(rows["version"]).to_pylist(), key=repr)}


def _of(heads: pa.Table, version: int | None) -> Traffic:
    mask = pc.is_null(heads["version"]) if version is None else pc.equal(heads["version"], version)
    own = heads.filter(mask)
    failed = pc.fill_null(pc.not_equal(own["status"], "OK"), False)
    latency = np.asarray(own["latency_ms"].drop_null())
    return Traffic(own.num_rows, int(pc.sum(failed).as_py() or 0), by_latency(latency.tolist()))
