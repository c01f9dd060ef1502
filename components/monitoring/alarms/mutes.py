"""Alarms that are kept quiet by command."""

from __future__ import annotations

import secrets
from datetime import datetime
from fnmatch import fnmatchcase

import pyarrow as pa

from components.monitoring.alarms.settings import AlarmSettings, Mute
from components.monitoring.store import Read, Store
from components.monitoring.tables import MUTES


def in_force(store: Store, settings: AlarmSettings) -> list[Mute]:
    """The mutes by command and those in the settings."""
    rows = store.read("mutes").to_pylist()
    fields = ("column", "slice", "kind", "since", "until")
    return [*settings.mutes, *(Mute(**{name: row[name] for name in fields}) for row in rows)]


def add(store: Store, model: str, mute: Mute, by: str, reason: str = "") -> str:
    """Mutes alarms, and returns the mute's id."""
    name = secrets.token_hex(4)
    row = {"mute": name, "model": model, **vars(mute), "by": by, "reason": reason}
    store.append("mutes", pa.Table.from_pylist([row], schema=MUTES))
    return name


def end(store: Store, column: str, now: datetime) -> int:
    """Ends all mutes of a column, or of columns by `*`; returns how many there were."""
    ended: list[dict[str, object]] = []

    def change(read: Read) -> pa.Table:
        on = [row for row in read(()).to_pylist() if row["until"] is None or row["until"] > now]
        ended[:] = [{**row, "until": now} for row in on if fnmatchcase(row["column"], column)]
        return pa.Table.from_pylist(ended, schema=MUTES)

    store.revise("mutes", "mute", change)
    return len(ended)
