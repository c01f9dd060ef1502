"""Forgets: deletes a customer's rows, or old ones, wherever a model's data are, and records that it did.

The inference table comes last, because it tells which requests the labels belong to. Every step can be repeated: a
request that was killed is finished by the next run, and each row counts once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from components.inference.privacy.keys import Keys
from components.monitoring.forgetting import aggregates, delta, files, predicates
from components.monitoring.forgetting.files import Rewritten
from components.monitoring.forgetting.pending import Pending, Request, secret
from components.monitoring.store import INFERENCE, LABELS, Store
from components.monitoring.tables import FORGOTTEN, SCHEMAS

_OF_THE_MONITOR = tuple(name for name in SCHEMAS if name != "forgotten")


@dataclass(frozen=True)
class Place:
    """What one table or file lost, or would lose.

    Attributes:
        name: The table's name, or the file's path.
        rows: Rows or records.
        before: Its digest before.
        after: Its digest after.
    """

    name: str
    rows: int
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Result:
    """What was forgotten.

    Attributes:
        request: The request.
        what: What was forgotten, with keyed hashes in place of values.
        places: The tables and files that lost rows.
        open_files: Files that a server still writes; they were left as they are.
        late: Rows that arrived while it ran.
    """

    request: Request
    what: str
    places: list[Place]
    open_files: list[str]
    late: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to do."""
        return not self.open_files and not self.late


def preview(request: Request, ring: Keys | None) -> list[Place]:
    """What a request would delete, table by table and file by file; nothing is changed."""
    store = Store(request.root)
    found = [Place(name, sum(_counts(store, name, wheres))) for name, wheres in _deletions(store, request, ring)]
    sought = files.forms(request.keys, ring)
    found += [Place(str(each), files.count(each, sought)) for each in _all_files(request)]
    found += [Place(str(each), sum(1 for _ in [each])) for each in _old_logs(request)]
    return [each for each in found if each.rows]


def forget(pending: Pending, ring: Keys | None) -> Result:
    """Does all of a request, or what a killed process left of it.

    Args:
        pending: The request; its file is removed at the end, if nothing is left to do.
        ring: The keys of the keyed hash.

    Raises:
        ServiceError: A store does not answer; the next run continues.
    """
    request, store = pending.request, Store(pending.request.root)
    _note_tables(store, pending)
    open_files = list(_rewrite_files(pending, ring))
    if request.keys:
        _clean_aggregates(store, request, ring)
    for name, wheres in _deletions(store, request, ring):
        for where in wheres:
            delta.delete(store.path(name), where, request.id)
    for name in pending.tables:
        delta.purge(store.path(name))
    result = Result(request, what(pending, ring), _places(store, pending), open_files, _late(store, request, ring))
    _record(store, result)
    if result.is_whole:
        pending.path.unlink(missing_ok=True)
    return result


def _note_tables(store: Store, pending: Pending) -> None:
    if not pending.tables:
        names = (INFERENCE, LABELS, *_OF_THE_MONITOR)
        opened = {name: table for name in names if (table := store.open(name))}
        pending.tables = {name: delta.digest(table) for name, table in opened.items()}
        pending.save()


def _deletions(store: Store, request: Request, ring: Keys | None) -> Iterator[tuple[str, list[str]]]:
    """The conditions of the rows to delete by table; the inference table's last."""
    values = aggregates.named(request.keys, ring)
    for name in (*_OF_THE_MONITOR, LABELS, INFERENCE):
        if table := store.open(name):
            schema = delta.columns(table)
            found = [predicates.of_age(name, schema, request.before)] if request.before else []
            if name in _OF_THE_MONITOR and "slice" in schema.names and values:
                found.append(predicates.of_slices(aggregates.slices(store, name, values)))
            elif name in (INFERENCE, LABELS):
                found.append(predicates.of_keys(request.keys, schema, ring))
            if name == LABELS:
                found += _of_requests(store, request, schema, ring)
            yield name, [each for each in found if each]


def _of_requests(store: Store, request: Request, labels: pa.Schema, ring: Keys | None) -> list[str]:
    """The conditions of the labels that belong to the customers' requests."""
    table = store.open(INFERENCE)
    where = predicates.of_keys(request.keys, delta.columns(table), ring) if table else ""
    return predicates.of_requests(delta.requests(table, where), labels) if table and where else []


def _counts(store: Store, name: str, wheres: list[str]) -> Iterator[int]:
    table = store.open(name)
    if table and wheres:
        yield delta.count(table, " OR ".join(f"({where})" for where in wheres))


def _all_files(request: Request) -> list[Path]:
    spans = files.under(request.spans, (".parquet", ".gz", ".tfrecord"))
    return [*files.under(request.logs), *spans] if request.keys else []


def _old_logs(request: Request) -> list[Path]:
    before = request.before
    return [each for each in files.under(request.logs) if each.stat().st_mtime < before.timestamp()] if before else []


def _rewrite_files(pending: Pending, ring: Keys | None) -> Iterator[str]:
    """Rewrites logs and spans, and yields those that another process still writes."""
    request = pending.request
    sought = files.forms(request.keys, ring)

    def note(file: Path, planned: Rewritten) -> None:
        pending.files[str(file)] = planned
        pending.save()

    for file in _old_logs(request):
        files.remove(file, request.before or datetime.now(UTC), lambda planned, file=file: note(file, planned))  # type: ignore[misc]
    for file in _all_files(request):
        if file.exists():
            files.gone(file)
            if files.is_written(file):
                if files.count(file, sought):
                    yield str(file)
            else:
                files.rewrite(file, sought, lambda planned, file=file: note(file, planned))  # type: ignore[misc]


def _clean_aggregates(store: Store, request: Request, ring: Keys | None) -> None:
    values = aggregates.named(request.keys, ring)
    for name, changes in (("profile", aggregates.profiles), ("alarms", aggregates.alarms)):
        for rows, where in changes(store, values):
            store.replace(name, rows, where)


def _places(store: Store, pending: Pending) -> list[Place]:
    found = []
    for name, before in pending.tables.items():
        table = store.open(name)
        after = delta.digest(table) if table else ""
        rows = delta.deleted(table, pending.request.id) if table else 0
        if table and (rows or after != before):
            found.append(Place(name, rows, before, after))
    return [*found, *(Place(name, each.rows, each.before, each.after) for name, each in pending.files.items())]


def _late(store: Store, request: Request, ring: Keys | None) -> int:
    """Rows of the customers that a server appended meanwhile."""
    only = {name: wheres for name, wheres in _deletions(store, request, ring) if name in (INFERENCE, LABELS)}
    return sum(sum(_counts(store, name, wheres)) for name, wheres in only.items())


def what(pending: Pending, ring: Keys | None) -> str:
    """What a request forgets as JSON: columns with keyed hashes of the values, never the values."""
    request = pending.request
    keys = ring or Keys({"record": secret(pending.folder)})
    customers = [{name: keys.hashed(value.encode()) for name, value in key.values} for key in request.keys]
    age = {"older_than": request.before.isoformat()} if request.before else {}
    return json.dumps({**({"customers": customers} if customers else {}), **age})


def _record(store: Store, result: Result) -> None:
    request, now = result.request, datetime.now(UTC)
    places = result.places or [Place("", 0)]
    rows = [
        {
            "request": request.id,
            "time": now,
            "model": request.model,
            "what": result.what,
            "reason": request.reason,
            "place": each.name,
            "rows": each.rows,
            "before": each.before,
            "after": each.after,
        }
        for each in places
    ]
    store.replace("forgotten", pa.Table.from_pylist(rows, FORGOTTEN), f"request = '{request.id}'")
