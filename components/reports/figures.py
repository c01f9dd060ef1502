"""Figures as people read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

NOTHING = "–"
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def number(value: float | None, digits: int = 4) -> str:
    """1,234; 0.9549; 12.35; 1.2e-07. Whole numbers are shown whole, others with this many significant digits."""
    if value is None:
        return NOTHING
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
    shown = _positive(abs(value), digits)
    return f"−{shown}" if value < 0 else shown


def _positive(value: float, digits: int) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if value and not 1e-4 <= value < 1e15:
        return f"{value:.{digits - 2}e}"
    before = math.floor(math.log10(value)) + 1 if value else 1
    shown = f"{value:,.{max(0, digits - before)}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def signed(value: float) -> str:
    """A difference with its sign: +0.012, −3."""
    return f"+{number(value)}" if value > 0 else number(value) if value else "±0"


def percent(share: float | None) -> str:
    """A share of 1 in percent: 12.3 %. More than nothing is never shown as 0 %, less than all never as 100 %."""
    if share is None or not math.isfinite(share):
        return NOTHING
    if 0 < share < 0.0005:
        return "<0.1 %"
    if 0.9995 < share < 1:
        return ">99.9 %"
    return f"{number(round(100 * share, 1))} %"


def duration(seconds: float | None) -> str:
    """0.2 s; 12.3 s; 2 min 5 s; 1 h 12 min."""
    if seconds is None:
        return NOTHING
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 0.1 or seconds == 0 else f"{1000 * seconds:.0f} ms"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def size(count: float | None) -> str:
    """A number of bytes: 512 B; 4.5 MB."""
    if count is None:
        return NOTHING
    unit = min(int(math.log(count, 1000)), len(_UNITS) - 1) if count >= 1 else 0
    return f"{number(round(count / 1000**unit, 1))} {_UNITS[unit]}" if unit else f"{count:.0f} B"


def counted(count: int, singular: str, plural: str = "") -> str:
    """1 feature; 3 features; 2 anomalies."""
    return f"{number(count)} {singular if count == 1 else plural or singular + 's'}"


def when(moment: datetime) -> str:
    """2026-11-27 20:58:07 UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def moment(text: str) -> str:
    """A time in ISO 8601, as `when` shows it; any other text as it is."""
    try:
        return when(datetime.fromisoformat(text).astimezone(UTC))
    except ValueError:
        return text


def cut(text: str, most: int) -> str:
    """A text, or its beginning with an ellipsis if it is longer than this many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def short_digest(digest: str) -> str:
    """The first 12 digits of a digest."""
    return digest.removeprefix("sha256:").removeprefix("md5:")[:12]
