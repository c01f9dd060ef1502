"""Looks at all triggers of a loop."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from deltalake.exceptions import DeltaError

from components.contract.errors import TaxiwayError
from components.monitoring.store import Store
from taxiway.lineage.loop.ledger import Ledger
from taxiway.loop.settings import Settings
from taxiway.loop.triggers import alarms, data, labels, quality, requests, schedule
from taxiway.loop.triggers.limits import Limits, zone
from taxiway.loop.triggers.seen import Seen, View
from taxiway.loop.triggers.settings import (
    HAND,
    AlarmTrigger,
    DataTrigger,
    LabelsTrigger,
    QualityTrigger,
    ScheduleTrigger,
    TriggerSettings,
    WebhookTrigger,
)

BY_HAND = TriggerSettings(HAND, HAND, None, Limits("0s"))
"""People wait for nothing but a cycle that is not over."""


def look(settings: Settings, tables: Store, ledger: Ledger, now: datetime) -> Iterator[Seen]:
    """What all triggers see: what people asked for first, then in the order of the settings."""
    if found := requests.together(requests.pending(ledger, HAND)[:1]):
        yield Seen(BY_HAND, found.reason, found)
    for each in settings.triggers:
        view = View(
            trigger=each,
            tables=tables,
            ledger=ledger,
            window=settings.window,
            zone=zone(settings.time_zone),
            now=now,
        )
        try:
            yield _seen(view)
        except (TaxiwayError, DeltaError, OSError) as error:
            # One that cannot see, such as for a file that is away, keeps no other from it.
            text = error.what if isinstance(error, TaxiwayError) else str(error).partition("\n")[0][:300]
            yield Seen(each, text, is_trouble=True)


def _seen(view: View) -> Seen:
    match view.trigger.what:
        case AlarmTrigger() as what:
            return alarms.look(view, what)
        case QualityTrigger() as what:
            return quality.look(view, what)
        case DataTrigger() as what:
            return data.look(view, what)
        case LabelsTrigger() as what:
            return labels.look(view, what)
        case ScheduleTrigger() as what:
            return schedule.look(view, what)
        case WebhookTrigger() | None:
            found = requests.together(requests.pending(view.ledger, view.trigger.kind))
            return Seen(view.trigger, found.reason if found else "no request", found)
