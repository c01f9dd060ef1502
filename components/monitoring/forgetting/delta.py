"""Deletes rows of a Delta table for good: no version of the table, no file and no statistic in its log has them.

delta-rs writes the files of the deleted rows again without them. The old files stay for older versions of the table,
and the log keeps the smallest and greatest value of every file, and the condition of the deletion. `purge` removes all
of these: a new checkpoint, the old files, the old checkpoints, and the statistics of files that are gone. Readers of an
older version find a file missing, and have to open the table again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, QueryBuilder

from components.contract import digests
from components.contract.errors import explained
from components.inference import stores
from components.inference.commits import retried
from components.upstream import delta

MARK = "forgotten"
"""In a commit: the id of the request to forget."""

_COMMIT = re.compile(r"\d{20}\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint.*\.parquet")


def columns(table: DeltaTable) -> pa.Schema:
    """A table's columns, as pyarrow has them."""
    return pa.schema(table.schema().to_arrow())


def count(table: DeltaTable, where: str) -> int:
    """The number of rows that meet a condition."""
    [[found]] = _query(table, f"SELECT count(*) AS n FROM t WHERE {where}")
    return int(found)


def requests(table: DeltaTable, where: str) -> list[str]:
    """The ids of the requests whose rows meet a condition."""
    return sorted(str(each) for [each] in _query(table, f"SELECT DISTINCT request_id FROM t WHERE {where}") if each)


def delete(path: str, where: str, request: str) -> None:
    """Deletes the rows that meet a condition; again if another process wrote first.

    Args:
        path: The table.
        where: The condition.
        request: The id of the request to forget; the commit has it, so that rows are counted once.

    Raises:
        ServiceError: The store does not answer, or others write without a pause.
    """
    properties = CommitProperties(custom_metadata={MARK: request})
    _retried(path, lambda: _table(path).delete(where, commit_properties=properties))


def deleted(table: DeltaTable, request: str) -> int:
    """The number of rows that were deleted for a request so far, also by a process that was killed."""
    metrics = [commit["operationMetrics"] for commit in table.history() if commit.get(MARK) == request]
    return sum(int(each.get("num_deleted_rows") or 0) for each in metrics)


def digest(table: DeltaTable) -> str:
    """The digest of the names and sizes of a table's files, which are never changed."""
    files = pa.table(table.get_add_actions(flatten=True)).select(["path", "size_bytes"]).to_pylist()
    return digests.files_digest({each["path"]: str(each["size_bytes"]) for each in files})


def purge(path: str) -> None:
    """Removes what older versions of a table have and the newest has not. A second call does no harm."""
    with explained(f"{path} was not cleaned", fix="run it again: the rows are deleted, the old files are not yet"):
        table = _table(path)
        _retried(path, lambda: table.vacuum(0, dry_run=False, enforce_retention_duration=False))
        table = _table(path)
        table.create_checkpoint()
        _clean_log(table)


def _clean_log(table: DeltaTable) -> None:
    alive = set(pa.table(table.get_add_actions(flatten=True)).column("path").to_pylist())
    names = list(delta.log_files(table))
    for name in names:
        if _COMMIT.fullmatch(name):
            old = delta.read(table, name)
            new = b"".join(_cleaned(line, alive) for line in old.splitlines(keepends=True))
            if new != old:
                delta.write(table, name, new)
    for name in names:
        if (found := _CHECKPOINT.fullmatch(name)) and int(found[1]) < table.version():
            delta.remove(table, name)


def _cleaned(line: bytes, alive: set[str]) -> bytes:
    """A line of the log without statistics of a file that is gone, and without the condition of a deletion."""
    action: dict[str, Any] = json.loads(line)
    [(kind, said)] = action.items()
    if kind in ("add", "remove") and said.get("path") not in alive and said.get("stats"):
        said["stats"] = json.dumps({"numRecords": json.loads(said["stats"]).get("numRecords", 0)})
    elif kind == "commitInfo" and MARK in said and "predicate" in said.get("operationParameters", {}):
        del said["operationParameters"]["predicate"]
    else:
        return line
    return json.dumps(action, separators=(",", ":")).encode() + b"\n"


def _query(table: DeltaTable, sql: str) -> list[list[Any]]:
    found = pa.table(QueryBuilder().register("t", table).execute(sql).read_all())
    return [list(row.values()) for row in found.to_pylist()]


def _table(path: str) -> DeltaTable:
    return DeltaTable(path, storage_options=stores.options(path))


def _retried(path: str, change: Callable[[], Any]) -> None:
    with explained(f"{path} cannot be changed", fix="see whether the store answers; then run it again"):
        retried(change, path)
