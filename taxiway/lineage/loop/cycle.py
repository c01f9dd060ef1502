"""A cycle of the loop: from what triggered it to the version that serves, or to the reason why none was pushed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """Where a cycle is."""

    WAITING = "waiting"
    RETRAINING = "retraining"
    JUDGED = "judged"
    ROLLING_OUT = "rolling_out"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    NOTHING_PUSHED = "nothing_pushed"
    FAILED = "failed"


OVER = (State.PROMOTED, State.ROLLED_BACK, State.NOTHING_PUSHED, State.FAILED)
"""The states in which a cycle ends."""

LOOP = "the loop"
"""Who did what no person did."""


@dataclass(frozen=True)
class Trigger:
    """Something that has happened, after which the model is trained again.

    Attributes:
        name: The trigger's name in the settings; `hand` if a person asked for it.
        kind: alarm, quality, data, labels, schedule, hand or webhook.
        id: What has happened; the same however often it is seen, and by however many loops.
        reason: What has happened, as a sentence.
        time: When it was seen.
        facts: What a pipeline's parameters can be filled with, as JSON: window_start, window_end, alarm, ...
    """

    name: str
    kind: str
    id: str
    reason: str
    time: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """A step of a cycle.

    Attributes:
        state: The cycle's state since then.
        reason: Why, as a sentence.
        time: When.
        by: Who: the loop, or a person.
        facts: What is known since then, as JSON: run, page, pushed, version, verdict, rollout, ...
    """

    state: State
    reason: str
    time: datetime
    by: str = LOOP
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cycle:
    """A cycle.

    Attributes:
        id: Its id, which follows from the trigger's.
        model: The model.
        trigger: What triggered it.
        settings: The settings that it began with, as in loop.yaml.
        events: Its steps, the first first; there is always one.
    """

    id: str
    model: str
    trigger: Trigger
    settings: Mapping[str, Any]
    events: Sequence[Event]

    @property
    def state(self) -> State:
        """Where it is."""
        return self.events[-1].state

    @property
    def reason(self) -> str:
        """Why it is there."""
        return self.events[-1].reason

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in OVER

    @property
    def started(self) -> datetime:
        """When it began."""
        return self.events[0].time

    @property
    def ended(self) -> datetime | None:
        """When it ended; None if it goes on."""
        return self.events[-1].time if self.is_over else None

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of it: of each fact the last."""
        return {name: value for event in self.events for name, value in event.facts.items()}
