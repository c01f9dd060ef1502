"""What is found in a window, in one form, whatever it comes from: drift, traffic, quality or a changed schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from components.monitoring.alarms.alarm import Key
from components.monitoring.alarms.facts import Part
from components.monitoring.alarms.wording import pictures, sentences
from components.monitoring.decision import Decision
from components.monitoring.tables import SIGNALS
from components.monitoring.window import Window

WINDOW, MODEL = "window", "model"
"""The kinds of the rows that say that a window was looked at: of a version and a slice, and of all versions."""

FAR = 0.5
"""What has a larger adjusted p-value is not kept, and counts as 1..."""

NEAR = 0.05
"""...unless its own p-value is as small as this: many small hints make an alarm, too."""


@dataclass(frozen=True)
class Signal:
    """A row of the signals' table, without the window; see components/monitoring/tables.py for its columns."""

    version: int | None
    slice: str
    kind: str
    column: str
    rows: int
    p_adjusted: float = 1.0
    p_value: float | None = None
    tests: float = 1.0
    shared: float = 0.0
    signal: bool = False
    effect: float | None = None
    effect_unit: str | None = None
    floor: float | None = None
    level: float | None = None
    importance: float | None = None
    what: str | None = None
    picture: str | None = None
    requests: int | None = None
    errors: int | None = None
    latency: list[int] | None = None


@dataclass(frozen=True)
class Look:
    """A signal in its window: one look at a key."""

    start: datetime
    end: datetime
    window: str
    signal: Signal

    @property
    def key(self) -> Key:
        """What was looked at."""
        found = self.signal
        return Key(found.version, found.slice, found.kind, found.column, self.window)


def of_parts(parts: Mapping[tuple[int | None, str], Part]) -> Iterator[Signal]:
    """What the tests found by version and slice."""
    for (version, part_slice), part in parts.items():
        for decision in part.decisions:
            if decision.signal or decision.p_adjusted <= FAR or decision.p_value <= NEAR:
                yield _of_decision(version, part_slice, part, decision)


def _of_decision(version: int | None, part_slice: str, part: Part, decision: Decision) -> Signal:
    found = part.summaries.get(decision.column), part.training.get(decision.column)
    is_shown = decision.signal and None not in found
    return Signal(
        version=version,
        slice=part_slice,
        kind=sentences.kind(decision),
        column=decision.column,
        rows=part.rows,
        p_adjusted=float(decision.p_adjusted),
        p_value=float(decision.p_value),
        tests=float(decision.tests),
        shared=float(decision.shared),
        signal=bool(decision.signal),
        effect=float(decision.effect),
        effect_unit=decision.effect_unit,
        floor=decision.floor,
        level=decision.level,
        importance=None if decision.importance is None else float(decision.importance),
        what=sentences.what_moved(decision, *found) if decision.signal else None,
        picture=pictures.picture(decision.test, *found) if is_shown else None,  # type: ignore[arg-type]
    )


def to_table(window: Window, found: list[Signal]) -> pa.Table:
    """Signals as rows of the window."""
    place: dict[str, Any] = {
        "window_start": window.start,
        "window_end": window.end,
        "window": window.length,
        "model": window.model,
    }
    return pa.Table.from_pylist([{**place, **vars(each)} for each in found], schema=SIGNALS)


def from_table(rows: pa.Table) -> list[Look]:
    """Rows as looks, in the order of their windows."""
    found = [_look(row) for row in rows.to_pylist()]
    return sorted(found, key=lambda look: (look.end, look.start))


def _look(row: dict[str, Any]) -> Look:
    start, end, length = row.pop("window_start"), row.pop("window_end"), row.pop("window")
    row.pop("model")
    return Look(start, end, length, Signal(**row))
