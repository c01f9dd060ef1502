"""The rooms, in the order of the navigation; the first one is the page at `/`."""

from __future__ import annotations

from collections.abc import Sequence

from taxiway.ui.compare.room import ROOM as COMPARE
from taxiway.ui.runs.room import ROOM as RUNS
from taxiway.ui.views import Room

ROOMS: Sequence[Room] = (RUNS, COMPARE)
