"""Alertmanager: open alarms are posted on every pass, and what has closed once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from components.contract.times import duration
from components.monitoring.alarms.alarm import MUTED, Alarm
from taxiway.alerts.message import Message
from taxiway.alerts.settings import Alertmanager
from taxiway.alerts.ways import address, post, revealed

NAME = "TaxiwayAlarm"
"""The label `alertname`."""


@dataclass(frozen=True)
class AlertmanagerWay:
    """An Alertmanager."""

    settings: Alertmanager
    name: str = "alertmanager"

    @property
    def events(self) -> tuple[str, ...]:
        """The event that ends an alert there."""
        return ("closed",)

    def tell(self, message: Message) -> None:
        """Ends alerts; raises NotTakenError."""
        self._post([_alert(each, each.closed or each.changed) for each in message.alarms])

    def keep(self, alarms: Iterable[Alarm], now: datetime) -> None:
        """Posts the open alarms, which Alertmanager drops otherwise, and ends the muted; raises NotTakenError."""
        until = now + duration(self.settings.hold, "alertmanager.hold")
        told = [each for each in alarms if each.opened]
        if alerts := [_alert(each, each.changed if each.state == MUTED else until) for each in told]:
            self._post(alerts)

    def _post(self, alerts: list[dict[str, Any]]) -> None:
        headers = {"Authorization": f"Bearer {revealed(self.settings.token)}"} if self.settings.token else {}
        url = f"{address(self.settings.url).rstrip('/')}/api/v2/alerts"
        post(url, json.dumps(alerts).encode(), headers)


def _alert(alarm: Alarm, until: datetime) -> dict[str, Any]:
    labels = {
        "alertname": NAME,
        "severity": "warning",
        "alarm": alarm.alarm,
        "model": alarm.model,
        "version": "" if alarm.version is None else str(alarm.version),
        "kind": alarm.kind,
        "column": alarm.column,
        "slice": alarm.slice,
    }
    return {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {"summary": alarm.sentence},
        "startsAt": (alarm.opened or alarm.since).isoformat(),
        "endsAt": until.isoformat(),
    }
