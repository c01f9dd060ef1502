"""Reads the inference table: what has changed, and the rows of a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler
from pyarrow import fs

from components.inference import stores
from components.inference import table as tables
from components.inference.columns import DATE
from components.inference.local_files import local_files

Range = tuple[datetime, datetime]
"""From a time up to but not including another."""

BATCH_ROWS = 65_536

_COMMIT = re.compile(r"(\d{20})\.json")
# Statistics may be cut to milliseconds.
_MOMENT = timedelta(milliseconds=1)


def changed(root: str, since: int | None) -> tuple[int, list[Range]]:
    """The newest version of the table, and the times of rows added after another version.

    Compaction, vacuum and deletes add no rows. If the log of a version after `since` has been cleaned up, the whole
    table counts as added.

    Args:
        root: The model's folder, or its URL.
        since: The version that is known; None for all rows.

    Returns:
        The version, -1 if there is no table yet; and disjoint ranges, sorted by time.

    Raises:
        ServiceError: The store is away.
    """
    table = tables.opened(root)
    if table is None:
        return -1, []
    version = table.version()
    # A table that was made anew has versions of its own.
    with stores.reached(tables.path(root)):
        added = None if since is None or since > version else _added(root, since, version)
    return version, _joined(_current(table) if added is None else added)


def _current(table: DeltaTable) -> list[Range]:
    """The times of all files of a version."""
    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    return [_range(each.get("min.time"), each.get("max.time"), each[f"partition.{DATE}"]) for each in actions]


def _added(root: str, since: int, version: int) -> list[Range] | None:
    """The times of files that were added after a version; None if the log does not tell any more."""
    files = _files(root)
    found = list[Range]()
    for number in range(since + 1, version + 1):
        try:
            content = files.open_input_file(f"_delta_log/{number:020}.json").read()
        except FileNotFoundError:
            return None
        found += _of_commit([json.loads(line) for line in content.splitlines() if line.strip()])
    return found


def _files(root: str) -> Any:
    return fs.PyFileSystem(DeltaStorageHandler(tables.path(root), stores.options(root)))


def _of_commit(actions: Sequence[Mapping[str, Any]]) -> list[Range]:
    """The times of the files that a commit adds, other than those that hold what is left after a delete."""
    if any(action.get("commitInfo", {}).get("operation") == "DELETE" for action in actions):
        return []
    return [_of_file(add) for action in actions if (add := action.get("add")) and add["dataChange"]]


def _of_file(add: Mapping[str, Any]) -> Range:
    stats = json.loads(add.get("stats") or "{}")
    ends = [stats.get(which, {}).get("time") for which in ("minValues", "maxValues")]
    low, high = (datetime.fromisoformat(end) if end else None for end in ends)
    return _range(low, high, add["partitionValues"][DATE])


def _range(low: datetime | None, high: datetime | None, day: str | date) -> Range:
    if low is None or high is None:
        start = datetime.fromisoformat(str(day)).replace(tzinfo=UTC)
        return start, start + timedelta(days=1)
    return low.astimezone(UTC), high.astimezone(UTC) + _MOMENT


def _joined(ranges: Sequence[Range]) -> list[Range]:
    """Ranges that overlap or touch become one."""
    found = list[Range]()
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def batches(
    root: str, version: int, start: datetime, end: datetime, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Streams the rows with start <= time < end of one version of the table; other files are not opened.

    Args:
        root: The model's folder, or its URL.
        version: The table's version.
        start: The first time.
        end: The time after the last one.
        columns: The columns to read, of which those that the table lacks are left out; None for all.
    """
    table = tables.opened(root, version)
    if table is None:
        return
    dataset = table.to_pyarrow_dataset(filesystem=local_files(table))
    kept = None if columns is None else [name for name in columns if name in dataset.schema.names]
    scanner = dataset.scanner(
        columns=kept,
        filter=_between(start.astimezone(UTC), end.astimezone(UTC)),
        batch_size=BATCH_ROWS,
        batch_readahead=2,
        fragment_readahead=1,
    )
    yield from (batch for batch in scanner.to_batches() if batch.num_rows)


def _between(start: datetime, end: datetime) -> ds.Expression:
    kind = pa.timestamp("us", "UTC")
    time, day = ds.field("time"), ds.field(DATE)
    # The partition alone rules out most files.
    days = (day >= pa.scalar(start.date(), pa.date32())) & (day <= pa.scalar(end.date(), pa.date32()))
    return days & (time >= pa.scalar(start, kind)) & (time < pa.scalar(end, kind))
