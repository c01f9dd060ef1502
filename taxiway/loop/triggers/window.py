"""The window of data to train on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from components.contract.times import duration


def facts(end: datetime, length: str, since: datetime | None = None) -> dict[str, Any]:
    """The window as facts of a trigger.

    Args:
        end: Its end.
        length: Its length in the settings; empty for from `since` on.
        since: When what has triggered began.
    """
    start = since if since and not length else end - duration(length, "window")
    return {"window_start": _text(start), "window_end": _text(end)}


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()
