"""What people and programs asked for: it waits in the lineage until a cycle is about it."""

from __future__ import annotations

from collections.abc import Sequence

from taxiway.lineage.loop.cycle import Trigger
from taxiway.lineage.loop.ledger import Ledger


def pending(ledger: Ledger, kind: str) -> list[Trigger]:
    """The requests that no cycle was about, the earliest first."""
    done = {id_ for cycle in ledger.cycles for id_ in (cycle.trigger.id, *cycle.trigger.facts.get("requests", ()))}
    return [each for each in ledger.requests if each.kind == kind and each.id not in done]


def together(requests: Sequence[Trigger]) -> Trigger | None:
    """The first of these, with the others that want the same: a burst of requests is one retraining."""
    if not requests:
        return None
    first = requests[0]
    same = [each for each in requests if each.facts.get("given") == first.facts.get("given")]
    last = same[-1]
    more = f", and {len(same) - 1} more requests" if len(same) > 1 else ""
    facts = {**last.facts, "requests": [each.id for each in same]}
    return Trigger(
        name=first.name, kind=first.kind, id=first.id, reason=first.reason + more, time=last.time, facts=facts
    )
