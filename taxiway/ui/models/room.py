"""The room of models: its place in the navigation, and its routes."""

from __future__ import annotations

from taxiway.ui.models import rollbacks, versions
from taxiway.ui.views import Action, Page, Room

ROOM = Room(
    "Models",
    "/models",
    (
        Page("/models", versions.show),
        Page("/models/rollback", rollbacks.show),
        Action("/models/rollback", rollbacks.act),
    ),
)
