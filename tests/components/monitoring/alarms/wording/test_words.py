"""Numbers and times as alarms write them."""

import math
from datetime import UTC, datetime, timedelta, timezone

from components.monitoring.alarms.wording.words import number, time


def test_times_have_seconds_only_where_windows_are_short() -> None:
    start = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
    assert time(start) == "2026-01-05 08:30 UTC"
    assert time(start + timedelta(seconds=10)) == "2026-01-05 08:30:10 UTC"
    assert time(start.astimezone(timezone(timedelta(hours=2)))) == "2026-01-05 08:30 UTC"


def test_the_float_next_to_zero_is_zero() -> None:
    assert [number(each) for each in (0.0, math.nextafter(0, -1), 1e-300)] == ["0", "0", "1.00e-300"]
