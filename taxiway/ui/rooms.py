"""The rooms, in the order of the navigation; the first one is the page at `/`."""

from __future__ import annotations

from collections.abc import Sequence

from taxiway.ui.compare.room import ROOM as COMPARE
from taxiway.ui.data.room import ROOM as DATA
from taxiway.ui.lineage.room import ROOM as LINEAGE
from taxiway.ui.loop.room import ROOM as LOOP
from taxiway.ui.models.room import ROOM as MODELS
from taxiway.ui.monitoring.room import ROOM as MONITORING
from taxiway.ui.runs.room import ROOM as RUNS
from taxiway.ui.views import Room

ROOMS: Sequence[Room] = (RUNS, COMPARE, MODELS, MONITORING, LOOP, DATA, LINEAGE)
