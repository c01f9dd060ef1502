"""What a monitor prints of a window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO

from rich.console import Console

from components.monitoring.passes.compute import Computed
from components.monitoring.window import Window
from taxiway.monitoring.printing import Teller


def test_a_window_with_an_estimate_that_is_not_to_be_trusted_says_why() -> None:
    out = StringIO()
    start = datetime(2026, 1, 5, tzinfo=UTC)
    window = Window("taxi", start, start + timedelta(hours=1), "1h")
    told = Teller(Console(file=out, width=200))
    told.window(Computed(window, 900, 0, [], 3, [1], doubts=["version 1: the estimated quality is not to be trusted"]))
    assert out.getvalue() == (
        "2026-01-05 00:00:00Z  1h  900 rows\n  version 1: the estimated quality is not to be trusted\n"
    )
