"""The room of monitoring: its place in the navigation, and its routes."""

from __future__ import annotations

from taxiway.ui.monitoring import alarm, column, models, one, window
from taxiway.ui.views import Action, Page, Room

ROOM = Room(
    "Monitoring",
    "/monitoring",
    (
        Page("/monitoring", models.show),
        Page("/monitoring/{model}", one.show),
        Page("/monitoring/{model}/columns/{column}", column.show),
        Page("/monitoring/{model}/windows/{start}", window.show),
        Page("/monitoring/{model}/alarms/{alarm}", alarm.show),
        Action("/monitoring/{model}/alarms/{alarm}/acknowledge", alarm.acknowledge),
        Action("/monitoring/{model}/alarms/{alarm}/mute", alarm.mute),
    ),
)
