"""What is still to be told, by way out: the table `deliveries` says what was.

A message is claimed before it is sent and marked after. Two monitors never send the same; one that is killed in between
leaves a claim that ends, so that another pass sends it, with the same id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from components.monitoring.alarms.alarm import CLOSED, MUTED, Alarm, Change, by_importance
from components.monitoring.store import Read, Store
from components.monitoring.tables import DELIVERIES
from taxiway.alerts.message import Message

KEEP = timedelta(days=3)
"""How long a receiver that is away is tried; and how old an alarm may be that a new way out tells."""

_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)


def changes(alarms: Iterable[Alarm], events: Sequence[str], now: datetime) -> list[Change]:
    """What has happened to alarms that were raised, in order, not longer ago than receivers are tried."""
    told = [alarm for alarm in by_importance(alarms) if alarm.opened]
    found = [(event, time, alarm) for alarm in told for event, time in _history(alarm)]
    order = {"opened": 0, "acknowledged": 1, "closed": 2}
    kept = [each for each in found if each[0] in events and each[1] and each[1] > now - KEEP]
    return [Change(event, alarm) for event, _, alarm in sorted(kept, key=lambda each: order[each[0]])]


def _history(alarm: Alarm) -> Iterator[tuple[str, datetime | None]]:
    if alarm.state != MUTED:
        yield "opened", alarm.opened
        yield "acknowledged", alarm.acknowledged
    if alarm.state == CLOSED:
        yield "closed", alarm.closed


def claim(store: Store, way: str, found: Sequence[Change], now: datetime) -> list[Change]:
    """The changes that are due, now claimed: nobody else sends them for a while, which grows with every try."""
    claimed: list[Change] = []

    def change(read: Read) -> pa.Table:
        known = {row["change"]: row for row in _rows(read, way, found)}
        claimed[:] = [each for each in found if _is_due(known.get(each.id), now)]
        return _table([_claimed(way, each, known.get(each.id), now) for each in claimed])

    if found:
        store.revise("deliveries", "delivery", change)
    return claimed


def record(store: Store, way: str, message: Message, error: str) -> None:
    """Writes down that a receiver took a message, or why not."""
    outcome = {"message": message.id, "changed": message.time, "error": error or None}
    if not error:
        outcome |= {"sent": message.time, "next": None}
    store.revise(
        "deliveries", "delivery", lambda read: _table([{**row, **outcome} for row in _rows(read, way, message.changes)])
    )


def waiting(store: Store) -> dict[str, int]:
    """The changes that wait for a receiver, by way out."""
    found: dict[str, int] = {}
    for row in store.read("deliveries").to_pylist():
        found[row["way"]] = found.get(row["way"], 0) + (row["sent"] is None)
    return found


def _rows(read: Read, way: str, found: Sequence[Change]) -> list[dict[str, Any]]:
    rows = read([("delivery", "in", [_id(way, each) for each in found])])
    return list(rows.to_pylist())


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=DELIVERIES)


def _id(way: str, change: Change) -> str:
    return f"{way}/{change.id}"


def _is_due(row: dict[str, Any] | None, now: datetime) -> bool:
    return row is None or (row["sent"] is None and row["next"] is not None and row["next"] <= now)


def _claimed(way: str, change: Change, row: dict[str, Any] | None, now: datetime) -> dict[str, Any]:
    tries = (row["tries"] if row else 0) + 1
    wait = min(_FIRST_WAIT * 2 ** min(tries - 1, 10), _LONGEST_WAIT)
    claimed = {"delivery": _id(way, change), "way": way, "change": change.id, "tries": tries}
    return {**(row or {}), **claimed, "next": now + wait, "changed": now}
