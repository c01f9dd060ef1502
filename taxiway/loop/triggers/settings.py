"""The settings of triggers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from components.contract.errors import UserError
from components.contract.settings import named, nearest, require_choice, typed
from components.contract.times import duration
from taxiway.alerts.secret import secret
from taxiway.loop.triggers import cron
from taxiway.loop.triggers.limits import Limits

HAND = "hand"
"""The name of what a person asks for."""


@dataclass(frozen=True)
class AlarmTrigger:
    """On an alarm of the monitor.

    Attributes:
        kinds: The kinds of alarms that count.
        columns: The columns or metrics that count; empty for all.
        slices: Whether alarms of slices count.
        again: How long after a cycle that pushed nothing the same alarm counts again; empty for never.
    """

    kinds: list[str] = field(default_factory=lambda: ["drift", "quality", "unseen"])
    columns: list[str] = field(default_factory=list)
    slices: bool = True
    again: str = ""


@dataclass(frozen=True)
class QualityTrigger:
    """On a metric that is too bad in several windows in a row.

    Attributes:
        metric: The metric's name in the quality table.
        below: It is bad below this.
        above: It is bad above this; one of the two is given.
        windows: The number of windows.
        slice: The slice; empty for all rows.
        basis: `labels`, or `estimate` before labels are there.
    """

    metric: str
    below: float | None = None
    above: float | None = None
    windows: int = 3
    slice: str = ""
    basis: str = "labels"


@dataclass(frozen=True)
class DataTrigger:
    """On a new version of data; one of these is given.

    Attributes:
        path: A file, a folder or a URL that changes.
        dvc: A .dvc file.
        span: Files of spans, as ExampleGen finds them: data/span-{SPAN}/*.
        partition: A pattern of partitions: data/day=*.
    """

    path: str = ""
    dvc: str = ""
    span: str = ""
    partition: str = ""


@dataclass(frozen=True)
class LabelsTrigger:
    """On so many labels since the last cycle of this trigger.

    Attributes:
        new: Their number.
    """

    new: int


@dataclass(frozen=True)
class ScheduleTrigger:
    """At a time.

    Attributes:
        cron: Five fields as in a crontab: '0 3 * * 1' is every Monday at 3:00.
    """

    cron: str


@dataclass(frozen=True)
class WebhookTrigger:
    """On a signed request of another program.

    Attributes:
        secret: env:NAME or file:PATH of the key that signs.
        host: The address to listen on.
        port: The port.
    """

    secret: str
    host: str = "127.0.0.1"
    port: int = 8600


What = AlarmTrigger | QualityTrigger | DataTrigger | LabelsTrigger | ScheduleTrigger | WebhookTrigger
KINDS: dict[str, type[What]] = {
    "alarm": AlarmTrigger,
    "quality": QualityTrigger,
    "data": DataTrigger,
    "labels": LabelsTrigger,
    "schedule": ScheduleTrigger,
    "webhook": WebhookTrigger,
}


@dataclass(frozen=True)
class TriggerSettings:
    """A trigger.

    Attributes:
        name: Its name.
        kind: alarm, quality, data, labels, schedule or webhook.
        what: The settings of its kind; None for what a person asks for.
        limits: Its cool-down, budget and quiet hours.
        window: The length of the window of data to train on; empty for the trigger's own.
    """

    name: str
    kind: str
    what: What | None
    limits: Limits
    window: str = ""


@dataclass(frozen=True)
class _Common:
    """What all triggers have, beside their kind."""

    name: str = ""
    window: str = ""
    cool_down: str | None = None
    budget_per_day: int | None = None
    quiet_hours: list[str] | None = None


def all_parsed(given: Any, default: Limits, where: str) -> tuple[TriggerSettings, ...]:
    """The triggers in a list; none may be given, as a person can trigger.

    Raises:
        UserError: One is wrong, or two have one name.
    """
    if given is not None and not isinstance(given, list):
        raise UserError(f"{where} is {given!r}", fix="write a list: - alarm: {kinds: [drift]}")
    found = [_parsed(each, default, f"{where}[{number}]") for number, each in enumerate(given or [])]
    for number, each in enumerate(found):
        if each.name in [other.name for other in found[:number]]:
            raise UserError(f"{where}[{number}] has the name of another: {each.name!r}", fix="give it a name: ...")
    if len([each for each in found if each.kind == "webhook"]) > 1:
        raise UserError(f"{where} has several webhooks", fix="keep one; several programs can use it")
    return tuple(found)


def _parsed(given: Any, default: Limits, where: str) -> TriggerSettings:
    kinds = [name for name in given if name in KINDS] if isinstance(given, dict) else []
    if len(kinds) != 1:
        known = [*KINDS, *_names()]
        unknown = [name for name in given if name not in known] if isinstance(given, dict) else []
        fix = nearest(unknown[0], known) if unknown else f"give it one of {', '.join(KINDS)}"
        raise UserError(f"{where} is {given!r}", fix=fix)
    [kind] = kinds
    common = typed(named({k: v for k, v in given.items() if k != kind}, _Common, where), _Common, where)
    what = _what(kind, given[kind], f"{where}.{kind}")
    name = common.name or kind
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", name) or name == HAND:
        raise UserError(f"{where}.name is {name!r}", fix=f"use small letters, digits, - and _; {HAND} is taken")
    limits = Limits(
        default.cool_down if common.cool_down is None else common.cool_down,
        common.budget_per_day,
        default.quiet_hours if common.quiet_hours is None else common.quiet_hours,
    )
    limits.check(where)
    if common.window:
        duration(common.window, f"{where}.window")
    return TriggerSettings(name, kind, what, limits, common.window)


def _names() -> list[str]:
    return [each.name for each in fields(_Common)]


def _what(kind: str, given: Any, where: str) -> What:
    if kind == "schedule" and isinstance(given, str):
        given = {"cron": given}
    found = typed(named({} if given is None else given, KINDS[kind], where), KINDS[kind], where)
    for wrong, fix in _mistakes(found, where):
        raise UserError(wrong, fix=fix)
    return found


def _mistakes(what: What, where: str) -> Iterator[tuple[str, str]]:
    """What is wrong with settings that have the right types, with the fix."""
    match what:
        case QualityTrigger():
            if (what.below is None) == (what.above is None):
                yield f"{where} has not one of below and above", "write below: 0.8, or above: 0.5 for a loss"
            if what.windows < 1:
                yield f"{where}.windows is {what.windows}", "write a number of at least 1"
            require_choice(what.basis, ("labels", "estimate"), f"{where}.basis")
        case DataTrigger():
            given = [each.name for each in fields(what) if getattr(what, each.name)]
            if len(given) != 1:
                yield f"{where} has {' and '.join(given) or 'nothing'}", "give one of path, dvc, span, partition"
            if what.span and "{SPAN}" not in what.span:
                yield f"{where}.span is {what.span!r}", "write {SPAN} where the number is: data/span-{SPAN}/*"
        case LabelsTrigger():
            if what.new < 1:
                yield f"{where}.new is {what.new}", "write a number of at least 1"
        case ScheduleTrigger():
            cron.parsed(what.cron, where)
        case WebhookTrigger():
            secret(what.secret, f"{where}.secret")
        case AlarmTrigger():
            if what.again:
                duration(what.again, f"{where}.again")
