"""The room of the loop: its place in the navigation, and its routes."""

from __future__ import annotations

from taxiway.ui.loop import acting, cycle, models, one
from taxiway.ui.views import Action, Page, Room

ROOM = Room(
    "Loop",
    "/loop",
    (
        Page("/loop", models.show),
        Page("/loop/{model}", one.show),
        Page("/loop/{model}/cycles/{cycle}", cycle.show),
        Action("/loop/{model}/approve", acting.approve),
        Action("/loop/{model}/reject", acting.reject),
    ),
)
