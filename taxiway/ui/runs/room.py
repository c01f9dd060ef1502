"""The room of runs: its place in the navigation, and its routes."""

from __future__ import annotations

from taxiway.ui.runs import listing
from taxiway.ui.views import Page, Room

ROOM = Room("Runs", "/runs", (Page("/runs", listing.show),))
