"""The page of all watched models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta

from markupsafe import Markup
from multidict import MultiDict

from components.contract.commands import typed
from components.monitoring.alarms.alarm import Alarm
from components.reports.figures import counted, number
from components.reports.markup import Content, tag
from components.reports.monitoring import alarms
from components.reports.monitoring.scope import Scope, windows
from components.reports.monitoring.watched import Watched
from components.reports.monitoring.wording import times
from components.reports.monitoring.wording.names import listed
from components.reports.page import Section
from components.reports.parts import badge, block, paragraph, stack
from components.reports.tables import Cell, Column, table
from taxiway.ui.monitoring import found
from taxiway.ui.views import Asked, Json, Site, View, address

_LATELY = timedelta(days=7)
"""The time before the last window that is looked at."""


def show(site: Site, asked: Asked) -> View:
    """The page of all models."""
    known = [_lately(site, model) for model in found.models(site)]
    return View(
        "Monitoring",
        lambda: _sections(known, site.tables),
        lambda: {"models": [_document(each) for each in known]},
        counted(len(known), "watched model") if known else "",
    )


def _lately(site: Site, model: str) -> Watched:
    store = found.store(site, model)
    last = windows(store, Scope(), most=1)
    scope = Scope(since=last.starts[-1] - _LATELY) if last.starts else Scope()
    links = found.Query.of(MultiDict()).links(model)
    return Watched.of(store, model, scope, links)


def _document(each: Watched) -> Json:
    return {
        "model": each.model,
        "last_window": each.windows.starts[-1] if each.windows.starts else None,
        "rows_per_day": _rows_per_day(each),
        "versions": [version for version, _ in each.versions],
        "alarms": [asdict(alarm) for alarm in _on(each)],
    }


def _rows_per_day(each: Watched) -> int | None:
    if not each.windows.starts:
        return None
    days = max((each.windows.across[1] - each.windows.across[0]) / 86_400, 1.0)
    return round(sum(rows or 0 for rows in each.windows.rows) / days)


def _on(each: Watched) -> list[Alarm]:
    return [alarm for alarm in each.alarms if alarm.state not in ("closed", "muted")]


def _sections(known: Sequence[Watched], tables: str) -> list[Section]:
    if not known:
        words = paragraph("No model is watched yet. Record what a server answers, and look at it:")
        serve = typed("taxiway serve FOLDER --inference-tables", tables)
        watch = typed("taxiway monitor MODEL --tables", tables)
        commands = f"{serve}\n{watch}"
        return [Section("none", "No models", stack(words, block(commands)))]
    on = [(each, alarm) for each in known for alarm in _on(each)]
    parts = [Section("models", "Models", _table(known))]
    return [*parts, Section("alarms", "Alarms", _alarms(known))] if on else parts


def _table(known: Sequence[Watched]) -> Markup:
    columns: list[str | Column] = ["Model", "State", "Last window", Column("Rows per day", True), "Versions"]
    return table("Models", columns, [_row(each) for each in known], hide_caption=True)


def _row(each: Watched) -> list[Cell | Content]:
    name = Cell(tag("a", each.model, href=address("monitoring", each.model)), each.model)
    if not each.windows.starts:
        return [name, badge("no window yet", "plain"), None, None, None]
    versions = listed([badge(f"version {version}", "info", "") for version, _ in each.versions])
    last = f"{times.short(each.windows.ends[-1])} UTC"
    rows = _rows_per_day(each)
    return [name, alarms.in_states(each.alarms), last, Cell(number(rows), rows), versions]


def _alarms(known: Sequence[Watched]) -> Markup:
    return stack(*(alarms.listing(_on(each), each.links) for each in known if _on(each)))
