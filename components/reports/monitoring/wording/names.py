"""Names of columns, states and measures as people read them."""

from __future__ import annotations

import math

from markupsafe import Markup

from components.inference.columns import OUTPUT
from components.monitoring.alarms.wording.sentences import BY_RANK
from components.monitoring.decision import DEVIATIONS
from components.monitoring.tables import MEASURES
from components.reports.figures import NOTHING, percent, signed
from components.reports.markup import join
from components.reports.parts import Kind, badge

TITLES = dict(zip(MEASURES, ("L-infinity", "Jensen-Shannon", "PSI", "KS", "Chi-square", "Wasserstein"), strict=True))
"""The measures of drift."""

KINDS = {
    "drift": "values moved",
    "missing": "missing values",
    "unseen": "new values",
    "types": "types or shapes",
    "schema": "schema",
    "errors": "errors",
    "latency": "latency",
    "quality": "quality",
    "silence": "no traffic",
}
"""What an alarm is about."""

ALL = "*"
"""The column of what is measured over all columns together."""

STATES: dict[str, Kind] = {
    "open": "bad",
    "acknowledged": "warn",
    "suspected": "info",
    "muted": "plain",
    "closed": "good",
}
"""The states of alarms, the most urgent first, with their colours."""


def column_name(column: str) -> str:
    """A column as people call it."""
    if column == ALL:
        return "all columns together"
    return f"{column.removeprefix(OUTPUT)} (answer)" if column.startswith(OUTPUT) else column


def state_badge(state: str) -> Markup:
    """A state in colour and words."""
    return badge(state, STATES.get(state, "plain"))


def span_kind(state: str) -> str:
    """The colour of an alarm on a time line: that of a closed one is quiet."""
    return {"open": "bad", "acknowledged": "warn", "suspected": "info"}.get(state, "plain")


def effect(value: float | None, unit: str | None) -> str:
    """An effect with its unit: +0.84 standard deviations; 7 % of rows."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if unit and unit.startswith("share"):
        return f"{percent(abs(value))}{unit.removeprefix('share')}"
    return f"{signed(round(value, 3))} {unit or ''}{BY_RANK if unit == DEVIATIONS else ''}".strip()


def version_name(version: int | None) -> str:
    """A version as people call it."""
    return "no version" if version is None else f"version {version}"


def short_effect(value: float | None, unit: str | None) -> str:
    """An effect in a table: +0.84 sd; 7 %."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if unit and unit.startswith("share"):
        return percent(abs(value))
    return f"{signed(round(value, 2))}{' sd' if unit == DEVIATIONS else ''}"


def listed(badges: list[Markup]) -> Markup:
    """Badges beside each other."""
    return join(badges, " ")
