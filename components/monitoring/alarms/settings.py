"""When alarms are raised, and which are kept quiet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from components.monitoring.alarms.alarm import Alarm


@dataclass(frozen=True)
class Mute:
    """Alarms that are kept quiet.

    Attributes:
        column: The columns or metrics; `*` stands for any text.
        slice: The slice; None for all.
        kind: The kind of alarms; None for all.
        since: From when; None for always.
        until: Until when; None for good.
    """

    column: str = "*"
    slice: str | None = None
    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def covers(self, alarm: Alarm, now: datetime) -> bool:
        """Whether an alarm is to be quiet now."""
        is_on = (self.since is None or self.since <= now) and (self.until is None or now < self.until)
        is_meant = self.slice in (None, alarm.slice) and self.kind in (None, alarm.kind)
        return is_on and is_meant and fnmatchcase(alarm.column, self.column)


@dataclass(frozen=True)
class AlarmSettings:
    """When alarms are raised.

    Attributes:
        level: How probable a signal is in a window in which nothing has changed.
        windows_between_false_alarms: An alarm is raised once its evidence reaches this number.
        close_after: Windows without the signal after which an alarm closes.
        errors_floor: The least rise of the share of failed requests that counts.
        latency_floor: The least rise of the median or the 95th percentile that counts, as a share of it.
        quality_floor: The least change of a metric that counts, as a share of it.
        least_requests: With fewer requests in the window, nothing is said of errors and latency.
        mutes: Alarms that are kept quiet, beside those muted by command.
    """

    level: float = 0.05
    windows_between_false_alarms: float = 1000
    close_after: int = 3
    errors_floor: float = 0.01
    latency_floor: float = 0.25
    quality_floor: float = 0.01
    least_requests: int = 20
    mutes: tuple[Mute, ...] = ()
