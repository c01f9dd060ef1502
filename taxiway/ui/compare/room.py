"""The room of comparisons: its place in the navigation, and its routes."""

from __future__ import annotations

from taxiway.ui.compare import page
from taxiway.ui.views import Page, Room

ROOM = Room("Compare", "/compare", (Page("/compare", page.show),))
