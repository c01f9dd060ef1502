"""The settings of a model's monitor: a YAML file, in which everything may be left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

from components.contract.errors import UserError
from components.contract.settings import named, typed
from components.contract.times import moment
from components.monitoring.alarms.settings import AlarmSettings, Mute
from components.monitoring.calibration.settings import Settings as Calibration
from components.monitoring.passes.durations import duration


@dataclass(frozen=True)
class Settings:
    """What is watched, and how.

    Attributes:
        window: The length of a window, such as 1h or 1d.
        late: How long after its end a window is first computed; later rows compute it again. By default a minute, or
            the length of a shorter window.
        ignore: Columns that are not watched.
        slices: Whether the EvalConfig's slices are watched as well.
        slicing_specs: Slices instead of those of the EvalConfig, in the same form.
        score: The output that tells what a change of a column does to the answers; the first with numbers by default.
        champion: The version that the others are compared with; the lowest in a window by default.
        price_per_hour: What an hour of serving costs, for the column `cost`.
        label_age: How long after a request an outcome with its keys may happen.
        level: The share of windows without a change in which anything at all may be a signal.
        windows_between_false_alarms: The mean number of windows between two alarms when nothing changes.
        close_after: Windows without the signal after which an alarm closes.
        floors: The least changes that count, by name: shift, ks, variation, share, errors, latency, quality.
        mute: Alarms that are kept quiet: maps with column, slice, kind, since and until.
    """

    window: str = "1h"
    late: str = ""
    ignore: list[str] = field(default_factory=list)
    slices: bool = True
    slicing_specs: list[dict[str, Any]] = field(default_factory=list)
    score: str = ""
    champion: int | None = None
    price_per_hour: float | None = None
    label_age: str = "30d"
    level: float = 0.05
    windows_between_false_alarms: float = 1000.0
    close_after: int = 3
    floors: dict[str, float] = field(default_factory=dict)
    mute: list[dict[str, Any]] = field(default_factory=list)

    @property
    def every(self) -> timedelta:
        """The length of a window."""
        return duration(self.window, "window")

    @property
    def lateness(self) -> timedelta:
        """How long after its end a window is first computed."""
        return duration(self.late, "late") if self.late else min(self.every, timedelta(minutes=1))

    @property
    def labels_for(self) -> timedelta:
        """How long after a request an outcome with its keys may happen."""
        return duration(self.label_age, "label_age")

    def calibration(self, parts: int = 1) -> Calibration:
        """What is asked of a signal, if this many versions share the level."""
        own = {name: value for name, value in self.floors.items() if name in _OF_COLUMNS}
        return Calibration(
            level=self.level / parts, windows_between_false_alarms=self.windows_between_false_alarms, **own
        )

    @property
    def alarms(self) -> AlarmSettings:
        """When alarms are raised."""
        own = {f"{name}_floor": value for name, value in self.floors.items() if name not in _OF_COLUMNS}
        return AlarmSettings(
            level=self.level,
            windows_between_false_alarms=self.windows_between_false_alarms,
            close_after=self.close_after,
            mutes=tuple(_mute(each, f"mute[{number}]") for number, each in enumerate(self.mute)),
            **own,  # type: ignore[arg-type]  # they are numbers
        )


_OF_COLUMNS = ("shift", "ks", "variation", "share")
FLOORS = (*_OF_COLUMNS, "errors", "latency", "quality")
"""The names of the floors."""


def parsed(given: Mapping[str, Any], where: str) -> Settings:
    """The settings in a map.

    Raises:
        UserError: A setting is unknown or wrong.
    """
    found = typed(named(given, Settings, where), Settings, where)
    for name, value in (("window", found.window), ("late", found.late or "1m"), ("label_age", found.label_age)):
        duration(value, f"{where}.{name}")
    if not 0 < found.level < 0.5:
        raise UserError(f"{where}.level is {found.level:g}", fix="use a share above 0 and below 0.5, such as 0.05")
    if found.windows_between_false_alarms < 1 or found.close_after < 1:
        raise UserError(f"{where} has a number below 1", fix="use at least 1 for close_after and for windows")
    for name in found.floors:
        if name not in FLOORS:
            raise UserError(f"{where}.floors has no {name!r}", fix=f"use one of {', '.join(FLOORS)}")
    assert found.alarms
    return found


_TIME = "2026-03-01T00:00:00Z"


def _mute(given: Mapping[str, Any], where: str) -> Mute:
    names = {each.name for each in fields(Mute)}
    if unknown := given.keys() - names:
        raise UserError(f"{where} has no {sorted(unknown)[0]!r}", fix=f"use one of {', '.join(sorted(names))}")
    times = {name: moment(str(given[name]), f"{where}.{name}", _TIME) for name in ("since", "until") if given.get(name)}
    return Mute(**{**given, **times})
