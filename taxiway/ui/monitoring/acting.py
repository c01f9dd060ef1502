"""What the pages do to alarms, and the commands that do the same."""

from __future__ import annotations

import glob
from datetime import UTC, datetime, timedelta

from components.contract.commands import typed
from components.monitoring.alarms import mutes
from components.monitoring.alarms.acknowledge import acknowledge as acknowledged
from components.monitoring.alarms.alarm import Alarm
from components.monitoring.alarms.settings import Mute
from components.monitoring.alarms.update import refresh
from components.monitoring.store import Store
from taxiway.ui.views import Site


def acknowledge(store: Store, alarm: Alarm, by: str) -> None:
    """Takes an alarm over; raises UserError if it is closed."""
    acknowledged(store, alarm.alarm, by, datetime.now(UTC))


def mute(store: Store, model: str, alarm: Alarm, *, by: str, lasting: timedelta | None, reason: str) -> None:
    """Keeps alarms of the same column, slice and kind quiet; None is for good."""
    now = datetime.now(UTC)
    # A column may be called anything, and the name of a mute is a pattern.
    meant = Mute(glob.escape(alarm.column), alarm.slice, alarm.kind, now, now + lasting if lasting else None)
    mutes.add(store, model, meant, by, reason)
    refresh(store, model, now)


def muted_until(store: Store, alarm: Alarm) -> list[tuple[datetime | None, str]]:
    """Until when it is muted, and by whom; empty if it is not."""
    now = datetime.now(UTC)
    on = [row for row in store.read("mutes").to_pylist() if row["until"] is None or row["until"] > now]
    own = [row for row in on if (row["column"], row["slice"], row["kind"]) == _key(alarm)]
    return [(row["until"], row["by"]) for row in own]


def _key(alarm: Alarm) -> tuple[str, str, str]:
    return glob.escape(alarm.column), alarm.slice, alarm.kind


def commands(site: Site, model: str, alarm: Alarm) -> str:
    """What does the same in a terminal."""
    tables, pattern, kind = site.tables, glob.escape(alarm.column), alarm.kind
    ack = typed("taxiway alarms ack", model, alarm.alarm, "--tables", tables)
    mute = typed("taxiway alarms mute", model, "--column", pattern, "--kind", kind, "--for", "7d", "--tables", tables)
    return f"{ack}\n{mute}" if alarm.state == "open" else mute
