"""The alarms of a model: their rows, a table of them, and the spans that they take on time lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from markupsafe import Markup

from components.monitoring.alarms.alarm import Alarm
from components.monitoring.store import Filter, Store
from components.monitoring.tables import ALARMS
from components.reports.figures import counted
from components.reports.markup import tag
from components.reports.monitoring.links import NOWHERE, Links, link
from components.reports.monitoring.scope import EVERY, Scope
from components.reports.monitoring.timeline import Span
from components.reports.monitoring.wording import times
from components.reports.monitoring.wording.names import KINDS, STATES, listed, short_effect, span_kind, state_badge
from components.reports.parts import badge, fold, paragraph, stack

_MOST = 20
"""The most alarms that are not folded."""
_COLUMNS = tuple(name for name in ALARMS.names if name != "picture")
"""A list of alarms needs no pictures, which are long."""


def read(store: Store, scope: Scope = EVERY, filters: Sequence[Filter] = ()) -> list[Alarm]:
    """The alarms in a scope: by state, those that are on by how far they move the answers, others the latest first."""
    if store.open("alarms") is None:
        return []
    since: list[Filter] = [("last", ">", scope.since)] if scope.since else []
    until: list[Filter] = [("since", "<", scope.until)] if scope.until else []
    rows = store.read("alarms", [*filters, *since, *until], _COLUMNS).to_pylist()
    found = [alarm for row in rows if _concerns(alarm := Alarm(**row), scope)]
    return sorted(found, key=_rank)


def _rank(alarm: Alarm) -> tuple[int, float, float]:
    state = list(STATES).index(alarm.state) if alarm.state in STATES else len(STATES)
    moved = 0.0 if alarm.state in ("closed", "muted") else abs(alarm.importance or 0.0)
    return state, -moved, -alarm.since.timestamp()


def _concerns(alarm: Alarm, scope: Scope) -> bool:
    """Whether an alarm is about the version and the slice of a scope; all rows are about every slice."""
    is_version = scope.version in (None, alarm.version) or alarm.version is None
    return is_version and (not scope.slice or alarm.slice == scope.slice)


def picture(store: Store, alarm: str) -> str:
    """The picture of an alarm as JSON; empty if it has none."""
    rows = store.read("alarms", [("alarm", "=", alarm)], ["picture"]).to_pylist()
    return (rows[0]["picture"] or "") if rows else ""


def spans(alarms: Iterable[Alarm], links: Links = NOWHERE, column: str | None = None) -> list[Span]:
    """The spans on a time line, the least urgent first, so that others lie above; muted ones are left out."""
    shown = [each for each in alarms if each.state != "muted" and column in (None, each.column)]
    return [_span(each, links) for each in reversed(shown)]


def _span(alarm: Alarm, links: Links) -> Span:
    words = f"{alarm.state}: {alarm.sentence}"
    start, end = alarm.since.timestamp(), alarm.last.timestamp()
    return Span(start, end, words, span_kind(alarm.state), links.alarm(alarm.alarm))


def in_states(alarms: Iterable[Alarm]) -> Markup:
    """How many there are in each state; that all is well if none is on."""
    counts = Counter(each.state for each in alarms if each.state not in ("closed", "muted"))
    shown = [badge(f"{counts[state]} {state}", kind) for state, kind in STATES.items() if counts[state]]
    return listed(shown) if shown else badge("no alarm", "good")


def listing(alarms: Sequence[Alarm], links: Links = NOWHERE) -> Markup:
    """The alarms below each other, each with its sentence and a line of figures."""
    if not alarms:
        return paragraph("No alarm was raised in this time.")
    shown, older = (alarms, []) if len(alarms) <= _MOST else (alarms[:_MOST], alarms[_MOST:])
    rest = fold(counted(len(older), "further alarm"), _items(older, links)) if older else None
    return stack(_items(shown, links), rest)


def _items(alarms: Sequence[Alarm], links: Links) -> Markup:
    return tag("ul", *(_item(each, links) for each in alarms), class_="alarms")


def _item(alarm: Alarm, links: Links) -> Markup:
    sentence = tag("p", state_badge(alarm.state), " ", link(alarm.sentence, links.alarm(alarm.alarm)))
    return tag("li", sentence, tag("p", " · ".join(_figures(alarm)), class_="quiet"), class_=span_kind(alarm.state))


def _figures(alarm: Alarm) -> Iterator[str]:
    yield KINDS.get(alarm.kind, alarm.kind)
    yield f"{times.short(alarm.since)} to {times.short(alarm.last)}"
    if alarm.effect is not None:
        yield short_effect(alarm.effect, alarm.effect_unit)
    if alarm.importance is not None:
        yield f"moves answers by {alarm.importance:.2f} sd"
    if alarm.acknowledged_by:
        yield f"acknowledged by {alarm.acknowledged_by}"
