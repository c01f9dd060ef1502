"""What is told at once: all alarms of a model to which the same has happened, the most important first."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from components.monitoring.alarms.alarm import Alarm, Change

SCHEMA = "taxiway.alarms/v1"
"""The name of the payload's form; docs/monitoring/alarms.md describes it."""

_SHOWN = 20
"""The most alarms in a text."""

_LEADS = {"opened": "", "acknowledged": "acknowledged: ", "closed": "over: "}


@dataclass(frozen=True)
class Message:
    """A message.

    Attributes:
        event: What has happened: opened, acknowledged or closed.
        model: The model.
        time: When the message was made.
        changes: The alarms' changes, the most important first.
    """

    event: str
    model: str
    time: datetime
    changes: Sequence[Change]

    @property
    def id(self) -> str:
        """The same for the same changes."""
        return hashlib.sha256(" ".join(sorted(each.id for each in self.changes)).encode()).hexdigest()[:16]

    @property
    def alarms(self) -> list[Alarm]:
        """The alarms."""
        return [each.alarm for each in self.changes]

    @property
    def subject(self) -> str:
        """One line."""
        first, others = self.alarms[0], len(self.changes) - 1
        lead = _LEADS[self.event]
        return f"{lead}{first.sentence}" if not others else f"{lead}{self.model}: {len(self.changes)} alarms"

    @property
    def lines(self) -> list[str]:
        """A sentence for each alarm, as many as one can read."""
        sentences = [each.sentence for each in self.alarms[:_SHOWN]]
        left = len(self.changes) - _SHOWN
        return [*sentences, f"and {left} more"] if left > 0 else sentences

    @property
    def text(self) -> str:
        """All of it as text."""
        return self.subject if len(self.changes) == 1 else "\n".join([f"{self.subject}:", *self.lines])


def payload(message: Message) -> dict[str, Any]:
    """The message as JSON."""
    return {
        "schema": SCHEMA,
        "id": message.id,
        "event": message.event,
        "model": message.model,
        "time": message.time.isoformat(),
        "text": message.text,
        "alarms": [{"change": each.id, **_alarm(each.alarm)} for each in message.changes],
    }


def _alarm(alarm: Alarm) -> dict[str, Any]:
    found = {name: _plain(value) for name, value in asdict(alarm).items()}
    return {**found, "picture": json.loads(alarm.picture) if alarm.picture else None}


def _plain(value: Any) -> Any:
    """A value that JSON has."""
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value
