"""An alarm, and how it changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

import pyarrow as pa

from components.monitoring.tables import ALARMS

SUSPECTED, OPEN, ACKNOWLEDGED, CLOSED, MUTED = "suspected", "open", "acknowledged", "closed", "muted"
"""The states. Only open and acknowledged alarms are told."""

OPENED = "opened"
EVENTS = {SUSPECTED: SUSPECTED, OPEN: OPENED, ACKNOWLEDGED: ACKNOWLEDGED, CLOSED: CLOSED, MUTED: MUTED}
"""What has happened to an alarm that is now in a state."""


@dataclass(frozen=True)
class Key:
    """What an alarm is about. There is at most one alarm of a key that is not closed."""

    version: int | None
    slice: str
    kind: str
    column: str
    window: str


@dataclass(frozen=True)
class Alarm:
    """A row of the alarms' table; see components/monitoring/tables.py for its columns."""

    alarm: str
    model: str
    version: int | None
    kind: str
    column: str
    slice: str
    state: str
    sentence: str
    since: datetime
    opened: datetime | None
    last: datetime
    closed: datetime | None
    changed: datetime
    acknowledged_by: str | None
    effect: float | None
    effect_unit: str | None
    p_adjusted: float | None
    evidence: float
    importance: float | None
    window: str
    rows: int
    acknowledged: datetime | None
    picture: str | None = None
    floor: float | None = None
    level: float | None = None
    evidence_needed: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether somebody should look at it."""
        return self.state in (OPEN, ACKNOWLEDGED)

    @property
    def key(self) -> Key:
        """What it is about."""
        return Key(self.version, self.slice, self.kind, self.column, self.window)


@dataclass(frozen=True)
class Change:
    """What has happened to an alarm: it is now suspected, opened, acknowledged, closed or muted."""

    event: str
    alarm: Alarm

    @property
    def id(self) -> str:
        """The same however often the change is computed or sent."""
        return f"{self.alarm.alarm}-{self.event}"


def new_id(model: str, key: Key, since: datetime) -> str:
    """The id of an alarm: two monitors that find the same give it the same id."""
    parts = (model, key.version, key.slice, key.kind, key.column, key.window, since.timestamp())
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def to_table(alarms: Iterable[Alarm]) -> pa.Table:
    """Alarms as rows."""
    return pa.Table.from_pylist([asdict(each) for each in alarms], schema=ALARMS)


def from_table(rows: pa.Table) -> list[Alarm]:
    """Rows as alarms."""
    return [Alarm(**row) for row in rows.to_pylist()]


def by_importance(alarms: Iterable[Alarm]) -> list[Alarm]:
    """The alarms that move the model's answers most come first."""
    return sorted(alarms, key=_rank)


def _rank(alarm: Alarm) -> tuple[float, float, str, str, str]:
    return -abs(alarm.importance or 0.0), -abs(alarm.effect or 0.0), alarm.column, alarm.slice, alarm.alarm
