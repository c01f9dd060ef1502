"""The room of lineage: its place in the navigation, and its routes."""

from __future__ import annotations

from taxiway.ui.lineage import page
from taxiway.ui.views import Page, Room

ROOM = Room("Lineage", "/lineage", (Page("/lineage", page.show),))
