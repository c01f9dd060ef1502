"""The page of an alarm: what it says, what was looked at, what led to the model, and what can be done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta

from markupsafe import Markup
from multidict import MultiDict

from components.contract.errors import UserError
from components.monitoring.alarms.alarm import Alarm
from components.monitoring.store import Store
from components.reports.markup import Content, tag
from components.reports.monitoring import alarms, column, distributions, lines
from components.reports.monitoring.grounds import grounds
from components.reports.monitoring.scope import Scope
from components.reports.monitoring.watched import Watched
from components.reports.monitoring.wording import times
from components.reports.monitoring.wording.names import (
    ALL,
    KINDS,
    STATES,
    column_name,
    state_badge,
    version_name,
)
from components.reports.page import Section
from components.reports.parts import block, facts, notice, paragraph, stack
from taxiway.ui import forms
from taxiway.ui.monitoring import acting, found, origin
from taxiway.ui.monitoring.found import Query
from taxiway.ui.views import Asked, Json, MissingError, Site, View, address

_AROUND = 3
"""The time before an alarm that is shown, in its own lengths."""
_MOST_LETTERS = 200
_DAYS = [("1", "1 day"), ("7", "7 days"), ("30", "30 days"), ("", "for good")]


def show(site: Site, asked: Asked) -> View:
    """The page of an alarm."""
    model = asked.path["model"]
    store = found.store(site, model)
    alarm = _one(store, asked.path["alarm"])
    title = f"{column_name(alarm.column)}: {KINDS.get(alarm.kind, alarm.kind)}"
    return View(
        title,
        lambda: list(_sections(site, asked, store, alarm)),
        lambda: _document(store, alarm),
        state_badge(alarm.state),
        (*found.CRUMBS, (model, address("monitoring", model))),
    )


def _one(store: Store, name: str) -> Alarm:
    rows = alarms.read(store, filters=[("alarm", "=", name)])
    if not rows:
        raise MissingError(f"there is no alarm {name!r}", fix="see the alarms at /monitoring")
    return rows[0]


def _document(store: Store, alarm: Alarm) -> Json:
    picture = alarms.picture(store, alarm.alarm)
    return {**asdict(alarm), "picture": json.loads(picture) if picture else None}


def _sections(site: Site, asked: Asked, store: Store, alarm: Alarm) -> Iterator[Section]:
    model = asked.path["model"]
    watched = _around(store, model, alarm)
    yield Section("alarm", "What happened", _happened(watched, alarm))
    if watched.windows.starts:
        yield Section("lines", "Over time", _over_time(watched, alarm))
    yield Section("evidence", "What was looked at", facts(_facts(alarm)))
    yield Section("origin", "Where it comes from", facts(origin.facts(site, store, model, alarm)))
    yield Section("actions", "What can be done", _actions(site, asked, alarm))


def _happened(watched: Watched, alarm: Alarm) -> Markup:
    sentence = notice(alarm.sentence, STATES.get(alarm.state, "plain"))
    picture = distributions.of_alarm(alarms.picture(watched.store, alarm.alarm), _before(alarm))
    return stack(_muted(watched.store, alarm), sentence, picture, _onward(watched, alarm))


def _before(alarm: Alarm) -> str:
    return "training" if alarm.kind in ("drift", "missing", "unseen", "types") else "before"


def _around(store: Store, model: str, alarm: Alarm) -> Watched:
    """The time from well before the alarm until well after it."""
    room = max(_AROUND * (alarm.last - alarm.since), timedelta(seconds=60))
    until = alarm.last + room
    return Watched.of(
        store, model, Scope(None, alarm.slice, alarm.since - room, until), Query.of(MultiDict()).links(model)
    )


def _onward(watched: Watched, alarm: Alarm) -> Markup:
    links = [tag("a", "The first window", href=watched.links.window(alarm.since), class_="button")]
    if alarm.kind in ("drift", "missing", "unseen", "types") and alarm.column != ALL:
        links.append(tag("a", "The column over time", href=watched.links.column(alarm.column), class_="button"))
    return tag("div", *links, class_="actions")


def _over_time(watched: Watched, alarm: Alarm) -> Markup:
    if alarm.kind == "drift" and alarm.column != ALL:
        return column.shortly(watched, alarm.column)
    if alarm.kind in ("missing", "unseen"):
        return column.values(watched, alarm.column)
    return lines.all_lines(watched)


def _muted(store: Store, alarm: Alarm) -> Markup | None:
    """Until when somebody has muted it."""
    muted = acting.muted_until(store, alarm)
    if not muted:
        return None
    until, by = muted[-1]
    lasting = f"until {times.short(until)} UTC" if until else "for good"
    return notice(f"Muted {lasting} by {by}.", "plain")


def _facts(alarm: Alarm) -> Iterator[tuple[Content, Content]]:
    yield "Version", version_name(alarm.version)
    yield "Slice", alarm.slice or "all rows"
    if alarm.importance is not None:
        yield "Moves the answers by", f"{alarm.importance:.2f} standard deviations"
    yield from grounds(alarm)
    for title, when in (
        ("Since", alarm.since),
        ("Raised", alarm.opened),
        ("Last", alarm.last),
        ("Closed", alarm.closed),
    ):
        if when:
            yield title, f"{times.short(when)} UTC"
    if alarm.acknowledged_by:
        yield "Acknowledged by", alarm.acknowledged_by


def _actions(site: Site, asked: Asked, alarm: Alarm) -> Markup:
    place = ("monitoring", asked.path["model"], "alarms", alarm.alarm)
    parts: list[Content] = []
    if alarm.state == "open":
        by = forms.field("by", "Your name", placeholder="who looks after it")
        button = forms.button("Acknowledge", kind="primary")
        parts.append(forms.doing(address(*place, "acknowledge"), asked, by, button, label="Acknowledge"))
    if alarm.state not in ("closed", "muted"):
        fields = [forms.choice("days", f"Mute {column_name(alarm.column)} for", _DAYS, "7")]
        fields += [forms.field("by", "Your name"), forms.field("reason", "Reason", placeholder="a known change")]
        mute = forms.doing(
            address(*place, "mute"), asked, tag("div", *fields, class_="fields"), forms.button("Mute"), label="Mute"
        )
        parts.append(mute)
    words = "It closes by itself when the windows are as usual again." if parts else "Nothing: it is over."
    commands = [
        paragraph("The same from a terminal:", quiet=True),
        block(acting.commands(site, asked.path["model"], alarm)),
    ]
    return stack(paragraph(words, quiet=True), *parts, *(commands if parts else []))


def acknowledge(site: Site, asked: Asked) -> str:
    """Takes an alarm over."""
    store, alarm = _asked(site, asked)
    acting.acknowledge(store, alarm, _name(asked))
    return address("monitoring", asked.path["model"], "alarms", alarm.alarm)


def mute(site: Site, asked: Asked) -> str:
    """Keeps alarms of the column quiet for some days."""
    store, alarm = _asked(site, asked)
    days = asked.form.get("days", "")
    if days not in [sent for sent, _ in _DAYS]:
        raise UserError(f"{days!r} is no number of days", fix="choose one in the form")
    lasting = timedelta(days=int(days)) if days else None
    reason = asked.form.get("reason", "").strip()
    acting.mute(store, asked.path["model"], alarm, by=_name(asked), lasting=lasting, reason=reason)
    return address("monitoring", asked.path["model"], "alarms", alarm.alarm)


def _asked(site: Site, asked: Asked) -> tuple[Store, Alarm]:
    store = found.store(site, asked.path["model"])
    return store, _one(store, asked.path["alarm"])


def _name(asked: Asked) -> str:
    name = asked.form.get("by", "").strip()
    if not name:
        raise UserError("an alarm is acknowledged or muted by somebody", fix="go back, and give your name")
    if len(name) > _MOST_LETTERS:
        raise UserError(f"the name has {len(name)} letters", fix=f"use at most {_MOST_LETTERS}")
    return name
