"""Brings the alarms up to date: after a window, after a command, or when a mute has ended.

What is found in a window is kept in the table `signals`, and the alarms are made of that. So a window that is computed
again, late, or by two monitors at once changes nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import pyarrow as pa

from components.monitoring.alarms import mutes, quality, signals, traffic
from components.monitoring.alarms.alarm import CLOSED, EVENTS, Alarm, Change, by_importance, from_table, to_table
from components.monitoring.alarms.facts import Facts, Traffic
from components.monitoring.alarms.making import made
from components.monitoring.alarms.settings import AlarmSettings
from components.monitoring.alarms.signals import MODEL, WINDOW, Signal
from components.monitoring.alarms.tracked import earliest, tracked
from components.monitoring.store import Fence, Read, Store
from components.monitoring.tables import ALARMS
from components.monitoring.window import Window

_DEFAULTS = AlarmSettings()


def update(
    store: Store,
    window: Window,
    facts: Facts,
    now: datetime,
    settings: AlarmSettings = _DEFAULTS,
    fence: Fence | None = None,
) -> list[Change]:
    """Brings the alarms up to date after a window was computed; returns what has changed, the most important first.

    Args:
        store: The model's tables.
        window: The window.
        facts: All that was found in it; what it had before is forgotten.
        now: The time.
        settings: When alarms are raised.
        fence: What the window is computed from.

    Raises:
        ServiceError: Others write to the tables without a pause.
        SupersededError: Another monitor computes the window from later rows or labels.
    """
    store.replace("signals", signals.to_table(window, _found(store, window, facts, settings)), window.place, fence)
    return _refreshed(store, window.model, now, settings, [window.start])


def refresh(store: Store, model: str, now: datetime, settings: AlarmSettings = _DEFAULTS) -> list[Change]:
    """Brings the alarms up to date after a command, or when time has passed: mutes begin and end."""
    return _refreshed(store, model, now, settings, [])


def _found(store: Store, window: Window, facts: Facts, settings: AlarmSettings) -> list[Signal]:
    history = store.read(
        "signals",
        [
            ("window_start", ">=", window.start - traffic.HISTORY),
            ("window_start", "<", window.start),
            ("window", "=", window.length),
            ("slice", "=", ""),
            ("kind", "in", [WINDOW, MODEL, traffic.ERRORS, traffic.LATENCY]),
        ],
    )
    return [
        *_marks(facts),
        *signals.of_parts(facts.parts),
        *traffic.found(window, facts.traffic, signals.from_table(history), settings),
        *quality.found(facts.quality, settings),
        *(each for version, found in facts.schema.items() for each in _of_schema(version, found)),
    ]


def _marks(facts: Facts) -> list[Signal]:
    """The rows that say that the window was looked at, and how many requests there were."""
    wholes = {(version, "") for version in (*facts.traffic, *facts.schema)}
    places = sorted({*facts.parts, *wholes}, key=repr)
    marks = [_mark(version, part_slice, facts) for version, part_slice in places]
    everything = [mark for mark in marks if not mark.slice]
    requests = sum(each.requests or 0 for each in everything)
    rows = sum(each.rows for each in everything)
    return [*marks, Signal(version=None, slice="", kind=MODEL, column="", rows=rows, requests=requests)]


def _mark(version: int | None, part_slice: str, facts: Facts) -> Signal:
    part = facts.parts.get((version, part_slice))
    seen = Traffic(0) if part_slice else facts.traffic.get(version, Traffic(0))
    return Signal(
        version=version,
        slice=part_slice,
        kind=WINDOW,
        column="",
        rows=part.rows if part else seen.requests,
        requests=seen.requests,
        errors=seen.errors,
        latency=list(seen.latency),
    )


def _of_schema(version: int | None, found: Mapping[str, str]) -> list[Signal]:
    return [
        Signal(
            version=version,
            slice="",
            kind="schema",
            column=column,
            rows=0,
            p_adjusted=0.0,
            signal=True,
            effect=1.0,
            effect_unit="columns",
            what=f"the schema has changed: {column}: {what}",
        )
        for column, what in found.items()
    ]


def _refreshed(store: Store, model: str, now: datetime, settings: AlarmSettings, since: list[datetime]) -> list[Change]:
    muted = mutes.in_force(store, settings)
    changes: list[Change] = []

    def change(read: Read) -> pa.Table:
        changes.clear()
        live = from_table(read([("state", "!=", CLOSED)]))
        times = [*since, *earliest(live)]
        if not times:
            return ALARMS.empty_table()
        known = [*live, *from_table(read([("state", "=", CLOSED), ("last", ">=", min(times))]))]
        # Read after the alarms: who has made those had written its signals before.
        looks = signals.from_table(store.read("signals", [("window_end", ">=", min(times))]))
        found = [made(model, each, muted, now, settings) for each in tracked(looks, known, settings)]
        changes.extend(_changes(found, known))
        return to_table(each for each in found if each not in known)

    store.revise("alarms", "alarm", change)
    return changes


def _changes(found: list[Alarm], known: list[Alarm]) -> list[Change]:
    """The alarms whose state is another, the most important first."""
    states = {each.alarm: each.state for each in known}
    return [Change(EVENTS[each.state], each) for each in by_importance(found) if each.state != states.get(each.alarm)]
