"""What a trigger looks at, and what it sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from components.contract.times import duration
from components.monitoring.store import Store
from taxiway.lineage.loop.cycle import Cycle, Trigger
from taxiway.lineage.loop.ledger import Ledger, Mark
from taxiway.loop.triggers.settings import TriggerSettings


def text_of(time: datetime) -> str:
    """A time as parameters of pipelines have it: in UTC, to the second."""
    return time.astimezone(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class View:
    """What a trigger looks at.

    Attributes:
        trigger: Its settings.
        tables: The model's tables.
        ledger: What the lineage has of the model's loop.
        window: The length of the window to train on, if the trigger does not say.
        zone: The time zone of schedules.
        now: The time.
    """

    trigger: TriggerSettings
    tables: Store
    ledger: Ledger
    window: str
    zone: tzinfo
    now: datetime

    @property
    def cycles(self) -> Sequence[Cycle]:
        """The model's cycles, the latest first."""
        return self.ledger.cycles[::-1]

    def known(self, key: str) -> list[Any]:
        """The values that the trigger has seen, by what it looks at; the latest last."""
        return list(self.ledger.values.get(key, ()))

    def found(self, id_: str, reason: str, end: datetime, since: datetime | None = None, **facts: Any) -> Trigger:
        """What has happened: with the window to train on, up to an end, since a time or of a length."""
        length = self.trigger.window or ("" if since else self.window)
        start = since if since and not length else end - duration(length, "window")
        times = {"window_start": text_of(start), "window_end": text_of(end)}
        known = {**facts, **({"since": text_of(since)} if since else {}), **times}
        return Trigger(
            name=self.trigger.name, kind=self.trigger.kind, id=id_, reason=reason, time=self.now, facts=known
        )


@dataclass(frozen=True)
class Seen:
    """What a trigger sees.

    Attributes:
        trigger: The trigger's settings.
        says: What it sees, for people.
        found: What has happened; None if nothing has.
        mark: What is to be kept, so that a change of it is noticed.
        is_trouble: Whether it cannot see at the moment; `says` has the reason.
    """

    trigger: TriggerSettings
    says: str
    found: Trigger | None = None
    mark: Mark | None = None
    is_trouble: bool = field(default=False)
