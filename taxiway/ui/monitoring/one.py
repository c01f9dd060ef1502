"""The page of a watched model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import pyarrow.compute as pc
from markupsafe import Markup

from components.contract.commands import typed
from components.monitoring.store import INFERENCE, Store
from components.monitoring.tables import QUANTILES
from components.reports.figures import counted
from components.reports.markup import Content, tag
from components.reports.monitoring import columns, report
from components.reports.monitoring.scope import Windows
from components.reports.monitoring.watched import Watched
from components.reports.monitoring.wording import times
from components.reports.page import Section
from components.reports.parts import block, fold, notice, paragraph, stack
from components.reports.tables import Cell, Column, table
from taxiway.ui import forms
from taxiway.ui.monitoring import found
from taxiway.ui.monitoring.found import Query
from taxiway.ui.views import Asked, Json, Site, View, address

_MOST_WINDOWS = 200


def show(site: Site, asked: Asked) -> View:
    """The page of a model, or of a part of its time, its versions and slices."""
    watched, query = found.watched(site, asked)
    return View(
        watched.model,
        lambda: list(_sections(site, watched, query)),
        lambda: document(watched),
        report.range_of(watched),
        found.CRUMBS,
        actions=chooser(watched, query, address("monitoring", watched.model)),
    )


def document(watched: Watched) -> Json:
    """What the page shows, as JSON."""
    return {
        "model": watched.model,
        "since": watched.windows.starts[0] if watched.windows.starts else None,
        "until": watched.windows.ends[-1] if watched.windows.ends else None,
        "window": watched.windows.length,
        "windows": len(watched.windows.starts),
        "versions": [{"version": version, "since": times.moment(first)} for version, first in watched.versions],
        "quantiles": QUANTILES,
        "traffic": watched.traffic.to_pylist(),
        "alarms": [asdict(each) for each in watched.alarms],
        "columns": [asdict(each) for each in columns.ranked(watched)],
    }


def _sections(site: Site, watched: Watched, query: Query) -> Iterator[Section]:
    if not watched.windows.starts:
        yield without_windows(site, watched, query)
        return
    yield from report.sections(watched)
    yield Section("windows", "Windows", _windows(watched))


def without_windows(site: Site, watched: Watched, query: Query) -> Section:
    """What to do where there is nothing to show: another range of time, the monitor, or the recorder."""
    if any(query.fields.values()):
        return Section("none", "No windows", notice("There is no window in this time.", "warn"))
    monitor = ["taxiway monitor", watched.model, "--tables", site.tables]
    if watched.store.open(INFERENCE) is None:
        words = "No request is recorded yet, and no window is computed. Record what a server answers, then look at it:"
        serve = typed("taxiway serve", f"served/{watched.model}", "--inference-tables", site.tables)
        commands = [serve, typed(*monitor)]
    else:
        words = "Requests are recorded, but no window is computed yet. A window is computed when it is over:"
        commands = [typed(*monitor, "--every", "5m")]
    return Section("none", "No windows", stack(paragraph(words), block("\n".join(commands))))


def _windows(watched: Watched) -> Markup:
    """The latest windows as links: the same as a click on a time line."""
    latest = list(zip(watched.windows.starts, watched.windows.rows, strict=True))[::-1][:_MOST_WINDOWS]
    rows: list[list[Cell | Content]] = [
        [Cell(tag("a", times.short(start), href=watched.links.window(start)), times.iso(start)), count]
        for start, count in latest
    ]
    listed = table("Windows", ["Start", Column("Rows", True)], rows, hide_caption=True)
    return fold(f"The latest {counted(len(latest), 'window')}", listed)


def chooser(watched: Watched, query: Query, place: str) -> Markup:
    """The form that chooses a version, a slice and a range of time."""
    known, slices = _known(watched.store, watched.windows)
    versions = [("", "all versions"), *((str(each), f"version {each}") for each in known)]
    fields = [forms.choice("version", "Version", versions, query.fields["version"])]
    if slices:
        named = [("", "all rows"), *((each, each) for each in slices)]
        fields.append(forms.choice("slice", "Slice", named, query.fields["slice"]))
    for name, label in (("since", "From (UTC)"), ("until", "Until (UTC)")):
        fields.append(forms.field(name, label, query.fields[name], placeholder="2026-03-09T14:00Z"))
    buttons = tag("span", forms.button("Show"), _all(query, place), class_="actions")
    return forms.asking(place, tag("div", *fields, buttons, class_="fields"), label="What is shown")


def _all(query: Query, place: str) -> Markup | None:
    return tag("a", "Show all", href=place, class_="button plain") if any(query.fields.values()) else None


def _known(store: Store, windows: Windows) -> tuple[list[int], list[str]]:
    """The versions of all time, and the slices of the last window with rows."""
    if not windows.starts or store.open("profile") is None:
        return [], []
    answered = store.read("profile", [("column", "=", "")], ["version"])
    last = store.read("profile", [("window_start", "=", windows.last_with_rows)], ["slice"])
    versions = sorted(each for each in pc.unique(answered["version"]).to_pylist() if each is not None)
    return versions, sorted(each for each in pc.unique(last["slice"]).to_pylist() if each)
