"""What people ask of a loop: a retraining, and whether a version may serve. The lineage has it until the loop acts."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from components.contract.commands import typed
from components.contract.errors import UserError
from components.contract.times import duration
from taxiway.lineage.loop import ledger
from taxiway.lineage.loop.cycle import Cycle, State, Trigger
from taxiway.lineage.loop.ledger import Answer
from taxiway.loop.triggers.seen import text_of
from taxiway.loop.triggers.settings import HAND

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore

_WEEK = timedelta(days=7)


def ask(
    store: LineageStore,
    model: str,
    *,
    by: str,
    reason: str,
    now: datetime,
    start: datetime | None,
    end: datetime | None,
) -> Trigger:
    """Asks for a retraining, whose cycle begins when no other is under way; cool-down and quiet hours do not count.

    Args:
        store: The lineage store.
        model: The model.
        by: Who asks.
        reason: Why.
        now: The time.
        start: The start of the window to train on; by default a week before its end.
        end: Its end; by default now.
    """
    said = f"{by} asked for it: {reason or 'no reason given'}"
    times = window(now, start, end)
    found = Trigger(name=HAND, kind=HAND, id=secrets.token_hex(4), reason=said, time=now, facts=times)
    ledger.put(store, model, ledger.REQUEST, found, key=found.id)
    return found


def window(now: datetime, start: datetime | None, end: datetime | None, length: str = "") -> dict[str, Any]:
    """The window to train on, and whether it was given.

    Raises:
        UserError: It ends before it begins.
    """
    last = end or now
    first = start or last - (duration(length, "window") if length else _WEEK)
    if first >= last:
        raise UserError(f"the window ends at {last:%Y-%m-%d %H:%M}, before it begins", fix="give an earlier start")
    times = {"window_start": text_of(first), "window_end": text_of(last)}
    return {**times, "given": list(times.values()) if start or end else []}


def waiting(store: LineageStore, model: str = "") -> Cycle:
    """The cycle that waits for a person.

    Args:
        store: The lineage store.
        model: The model; empty if only one model has such a cycle.

    Raises:
        UserError: There is none, or there are several.
    """
    models = [model] if model else store.groups(ledger.GROUP)
    current = [cycle for each in models if (cycle := ledger.read(store, each).current)]
    found = [each for each in current if each.state in (State.JUDGED, State.ROLLING_OUT)]
    if len(found) > 1:
        raise UserError(
            f"cycles of several models wait: {', '.join(each.model for each in found)}", fix="name the model"
        )
    if not found:
        state = f"; its cycle is {current[0].state}" if model and current else ""
        raise UserError(
            f"no version {f'of {model} ' if model else ''}waits for approval{state}", fix=typed("taxiway loop history")
        )
    return found[0]


def answer(store: LineageStore, cycle: Cycle, *, approves: bool, by: str, reason: str, now: datetime) -> None:
    """Says yes or no to a version: before its rollout, or at a step of it; the loop acts on it at its next look."""
    said = Answer(cycle=cycle.id, at=len(cycle.events), approves=approves, by=by, reason=reason, time=now)
    ledger.put(store, cycle.model, ledger.ANSWER, said)
