"""The room of monitoring: its place in the navigation, and its routes."""

from __future__ import annotations

from taxiway.ui.views import Action, Page, Room, late

ROOM = Room(
    "Monitoring",
    "/monitoring",
    (
        Page("/monitoring", late("taxiway.ui.monitoring.models", "show")),
        Page("/monitoring/{model}", late("taxiway.ui.monitoring.one", "show")),
        Page("/monitoring/{model}/columns/{column}", late("taxiway.ui.monitoring.column", "show")),
        Page("/monitoring/{model}/windows/{start}", late("taxiway.ui.monitoring.window", "show")),
        Page("/monitoring/{model}/alarms/{alarm}", late("taxiway.ui.monitoring.alarm", "show")),
        Action("/monitoring/{model}/alarms/{alarm}/acknowledge", late("taxiway.ui.monitoring.alarm", "acknowledge")),
        Action("/monitoring/{model}/alarms/{alarm}/mute", late("taxiway.ui.monitoring.alarm", "mute")),
    ),
)
