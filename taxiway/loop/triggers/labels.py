"""The trigger on labels: enough have come since its last cycle."""

from __future__ import annotations

from components.monitoring.store import LABELS
from taxiway.lineage.loop.ledger import Mark
from taxiway.loop.triggers.seen import Seen, View
from taxiway.loop.triggers.settings import LabelsTrigger


def look(view: View, what: LabelsTrigger) -> Seen:
    """How many labels there are."""
    table = view.tables.open(LABELS)
    count = table.count() if table else 0
    key = f"{view.trigger.name}/labels"
    known = view.known(key)
    if not known or count < known[-1]:
        # Some were forgotten.
        return Seen(view.trigger, f"{count:,} labels: new ones count from now on", mark=Mark(key, count, view.now))
    new = count - known[-1]
    says = f"{new:,} of {what.new:,} new labels"
    if new < what.new:
        return Seen(view.trigger, says)
    found = view.found(f"{key}/{len(known)}/{known[-1]}", says, view.now, key=key, value=count, labels=new)
    return Seen(view.trigger, says, found)
