"""Takes an alarm over: somebody knows of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pyarrow as pa

from components.contract.errors import UserError
from components.monitoring.alarms.alarm import ACKNOWLEDGED, CLOSED, OPEN, Alarm, Change, from_table, to_table
from components.monitoring.store import Read, Store


def acknowledge(store: Store, alarm: str, by: str, now: datetime) -> Change:
    """Acknowledges an alarm; it stays so until it closes by itself.

    Raises:
        UserError: There is no such alarm, or it is closed.
    """
    found: list[Alarm] = []

    def change(read: Read) -> pa.Table:
        found[:] = [_acknowledged(each, by, now) for each in from_table(read([("alarm", "=", alarm)]))]
        return to_table(found)

    store.revise("alarms", "alarm", change)
    if not found:
        raise UserError(f"there is no alarm {alarm!r}")
    return Change(ACKNOWLEDGED, found[0])


def _acknowledged(alarm: Alarm, by: str, now: datetime) -> Alarm:
    if alarm.state == CLOSED:
        raise UserError(f"the alarm {alarm.alarm} is closed")
    state = ACKNOWLEDGED if alarm.state == OPEN else alarm.state
    return replace(alarm, state=state, acknowledged=now, acknowledged_by=by, changed=now)
