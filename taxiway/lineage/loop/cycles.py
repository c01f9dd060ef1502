"""Cycles in the lineage: an execution each, and one for every step.

Executions have unique names. A model's cycles are numbered, and so are the steps of a cycle: of two loops that know the
same, only one takes the next number. So nobody begins a cycle without knowledge of all cycles before, and no trigger
starts two, however many loops there are and whenever they are killed.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from components.contract.artifacts import Artifact
from components.contract.digests import text_digest
from taxiway.lineage.loop import ledger
from taxiway.lineage.loop.cycle import Cycle, Event, State, Trigger
from taxiway.lineage.loop.ledger import GROUP, to_json

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore

_DIGITS = 10

Ports = Mapping[str, Artifact]


def id_of(model: str, trigger: Trigger) -> str:
    """The id of a trigger's cycle."""
    parts = json.dumps([model, trigger.kind, trigger.name, trigger.id])
    return f"{model}-{trigger.name}-{text_digest(parts).removeprefix('sha256:')[:_DIGITS]}"


def begin(
    store: LineageStore,
    model: str,
    trigger: Trigger,
    settings: Mapping[str, Any],
    known: Sequence[Cycle],
    *,
    now: datetime,
    inputs: Ports | None = None,
) -> Cycle | None:
    """Begins the cycle of a trigger; None if it was begun before, or if there are other cycles than the known ones.

    Args:
        store: The lineage store.
        model: The model.
        trigger: What has happened.
        settings: The settings, which the cycle keeps.
        known: The model's cycles when the trigger was found.
        now: The time.
        inputs: What the cycle is made of: the window with the alarm, and the model that serves.
    """
    first = Event(State.WAITING, trigger.reason, now)
    cycle = Cycle(id_of(model, trigger), model, trigger, settings, (first,))
    if cycle.id in [each.id for each in known]:
        return None
    facts = {"cycle": cycle.id, "model": model, "trigger": to_json(asdict(trigger)), "settings": to_json(settings)}
    facts |= {"token": secrets.token_hex(8), "event": to_json(asdict(first))}
    mine = store.claim(ledger.CYCLE, f"{GROUP}/{model}/cycle-{len(known)}", (GROUP, model), facts, inputs=inputs)
    return cycle if mine else None


def add(
    store: LineageStore, cycle: Cycle, event: Event, inputs: Ports | None = None, outputs: Ports | None = None
) -> Cycle | None:
    """Takes the next step of a cycle; None if another loop has taken it."""
    facts = {"token": secrets.token_hex(8), "cycle": cycle.id, "event": to_json(asdict(event))}
    name = f"{GROUP}/{cycle.id}/{len(cycle.events)}"
    mine = store.claim(ledger.STEP, name, (GROUP, cycle.model), facts, inputs=inputs, outputs=outputs)
    return replace(cycle, events=(*cycle.events, event)) if mine else None


def history(store: LineageStore, model: str = "") -> list[Cycle]:
    """The cycles of a model, or of all models, the latest first; each with its events.

    Args:
        store: The lineage store.
        model: The model's name; empty for all.
    """
    models = [model] if model else store.groups(GROUP)
    found = [cycle for each in models for cycle in ledger.read(store, each).cycles[::-1]]
    return sorted(found, key=lambda cycle: cycle.started, reverse=True)
