"""Writes the inference table: appends, compacts, and deletes what is too old.

The table of a model is the Delta table `<root>/inference`, partitioned by day. Several processes may append at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Transaction,
    WriterProperties,
    write_deltalake,
)

from components.inference import stores
from components.inference.columns import DATE, REQUEST
from components.inference.commits import retried
from components.inference.conflicts import fitted

NAME = "inference"
"""The table's folder in a model's folder."""

MOST_COLUMNS = 4_000
"""Limit of columns, so that a client that invents feature names cannot grow the table for ever."""

HOURS_KEPT = 24
"""How long files that no version needs any more are kept, for readers that opened the table before."""

_CONFIGURATION: Mapping[str, str | None] = {
    "delta.dataSkippingStatsColumns": "time",
    "delta.checkpointInterval": "100",
    # Writers append every few seconds: the default, 30 days, would keep hundreds of thousands of log files.
    "delta.logRetentionDuration": "interval 2 days",
    "delta.setTransactionRetentionDuration": "interval 60 days",
    "delta.deletedFileRetentionDuration": f"interval {HOURS_KEPT} hours",
}
_WRITER = WriterProperties(compression="ZSTD", compression_level=1)
_TARGET_BYTES = 128 << 20


class Once(NamedTuple):
    """Names a write, so that it happens once however often it is tried.

    Attributes:
        writer: Who writes; a name that no other uses.
        number: The number of the write; greater than that of the writer's last one.
    """

    writer: str
    number: int


def path(root: str) -> str:
    """The inference table in a model's folder or URL."""
    return f"{str(root).rstrip('/')}/{NAME}"


def opened(root: str, version: int | None = None) -> DeltaTable | None:
    """The table; None if it does not exist yet. Raises ServiceError if the store is away."""
    return stores.opened(path(root), version)


def append(root: str, rows: pa.Table, once: Once | None = None) -> int | None:
    """Appends rows, and creates the table if it does not exist.

    New columns are added. A value that does not fit its column's type goes to a column with the type's name as suffix,
    such as `input_fare_string`; see `conflicts`.

    Args:
        root: The model's folder, or its URL.
        rows: Rows with the column `time`.
        once: Names the write; None if it is tried once.

    Returns:
        The number of columns that were left out, because the table has `MOST_COLUMNS` already; None if the write has
        happened before.

    Raises:
        ServiceError: The store cannot be written, or others change the table without a pause.
    """
    if not rows.num_rows:
        return 0
    rows = _dated(rows)
    with stores.reached(path(root)):
        return retried(lambda: _append(root, rows, once))


def _append(root: str, rows: pa.Table, once: Once | None) -> int | None:
    table = opened(root) or _created(root)
    if once and (table.transaction_version(once.writer) or 0) >= once.number:
        return None
    there = pa.schema(table.schema().to_arrow())
    kept, left_out = _bounded(fitted(rows, there), there)
    write_deltalake(
        table,
        kept,
        mode="append",
        schema_mode="merge",
        writer_properties=_WRITER,
        commit_properties=CommitProperties(app_transactions=[Transaction(once.writer, once.number)] if once else None),
        storage_options=stores.options(root),
    )
    return left_out


def _created(root: str) -> DeltaTable:
    return DeltaTable.create(
        path(root),
        schema=REQUEST,
        mode="ignore",
        partition_by=[DATE],
        configuration=_CONFIGURATION,
        storage_options=stores.options(root),
    )


def _dated(rows: pa.Table) -> pa.Table:
    if DATE in rows.column_names:
        return rows
    return rows.append_column(DATE, pc.cast(rows["time"], pa.date32()))


def _bounded(rows: pa.Table, there: pa.Schema) -> tuple[pa.Table, int]:
    """The rows without new columns beyond the limit, and the number of these."""
    known = set(there.names)
    new = [name for name in rows.column_names if name not in known]
    left_out = set(new[max(MOST_COLUMNS - len(there), 0) :])
    return rows.select([name for name in rows.column_names if name not in left_out]), len(left_out)


def compact(root: str) -> dict[str, Any]:
    """Joins small files into large ones, and removes files and logs that no reader needs any more.

    Readers and writers go on meanwhile. Rows, and what `reading.changed` finds, stay the same.

    Returns:
        `files_added`, `files_removed` (both of the table), and `files_deleted` (from the store).

    Raises:
        ServiceError: The store cannot be reached, or others change the table without a pause.
    """
    with stores.reached(path(root)):
        return _compacted(root)


def _compacted(root: str) -> dict[str, Any]:
    table = opened(root)
    if table is None:
        return {"files_added": 0, "files_removed": 0, "files_deleted": 0}
    done = retried(lambda: _optimized(root))
    table = opened(root)
    assert table is not None
    # Also files that a killed writer never committed; those of a writer at work are younger than the limit.
    deleted = table.vacuum(HOURS_KEPT, dry_run=False, full=True)
    table.update_incremental()
    table.create_checkpoint()
    table.cleanup_metadata()
    return {
        "files_added": done["numFilesAdded"],
        "files_removed": done["numFilesRemoved"],
        "files_deleted": len(deleted),
    }


def _optimized(root: str) -> dict[str, Any]:
    table = opened(root)
    assert table is not None
    return table.optimize.compact(
        target_size=_TARGET_BYTES,
        writer_properties=_WRITER,
        post_commithook_properties=PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False),
    )


def retain(root: str, days: int, today: date | None = None) -> int:
    """Deletes whole days before the last `days` days, today included; returns how many days these were.

    Args:
        root: The model's folder, or its URL.
        days: The days to keep.
        today: The current day in UTC; default: the clock's.

    Raises:
        ServiceError: The store cannot be reached, or others change the table without a pause.
    """
    if opened(root) is None:
        return 0
    first = (today or datetime.now(UTC).date()) - timedelta(days=days - 1)
    with stores.reached(path(root)):
        return retried(lambda: _deleted(root, first))


def _deleted(root: str, first: date) -> int:
    table = opened(root)
    assert table is not None
    old = {day for day in _days(table) if day < first.isoformat()}
    if old:
        table.delete(f"{DATE} < '{first.isoformat()}'")
    return len(old)


def _days(table: DeltaTable) -> set[str]:
    return {str(partition[DATE]) for partition in table.partitions()}
