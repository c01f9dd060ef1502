"""The room of the loop: its place in the navigation, and its routes."""

from __future__ import annotations

from taxiway.ui.views import Action, Page, Room, late

ROOM = Room(
    "Loop",
    "/loop",
    (
        Page("/loop", late("taxiway.ui.loop.models", "show")),
        Page("/loop/{model}", late("taxiway.ui.loop.one", "show")),
        Page("/loop/{model}/cycles/{cycle}", late("taxiway.ui.loop.cycle", "show")),
        Action("/loop/{model}/approve", late("taxiway.ui.loop.acting", "approve")),
        Action("/loop/{model}/reject", late("taxiway.ui.loop.acting", "reject")),
    ),
)
