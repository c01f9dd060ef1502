"""The room of data: its place in the navigation, and its routes."""

from __future__ import annotations

from taxiway.ui.data import between, versions
from taxiway.ui.views import Page, Room

ROOM = Room(
    "Data",
    "/data",
    (Page("/data", versions.show), Page("/data/version", versions.one), Page("/data/compare", between.show)),
)
