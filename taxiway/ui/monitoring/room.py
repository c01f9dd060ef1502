"""The room of monitoring: its place in the navigation, and its routes."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from taxiway.ui.views import Action, Asked, Page, Room, Site


def _of(module: str, function: str) -> Callable[[Site, Asked], Any]:
    """A function of this folder, imported at its first call: it loads Arrow, 60 MB that no other page needs."""

    def called(site: Site, asked: Asked) -> Any:
        return getattr(import_module(f"taxiway.ui.monitoring.{module}"), function)(site, asked)

    return called


ROOM = Room(
    "Monitoring",
    "/monitoring",
    (
        Page("/monitoring", _of("models", "show")),
        Page("/monitoring/{model}", _of("one", "show")),
        Page("/monitoring/{model}/columns/{column}", _of("column", "show")),
        Page("/monitoring/{model}/windows/{start}", _of("window", "show")),
        Page("/monitoring/{model}/alarms/{alarm}", _of("alarm", "show")),
        Action("/monitoring/{model}/alarms/{alarm}/acknowledge", _of("alarm", "acknowledge")),
        Action("/monitoring/{model}/alarms/{alarm}/mute", _of("alarm", "mute")),
    ),
)
