"""The page of one column of a watched model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime

from components.monitoring.tables import TRAINING
from components.reports.monitoring import alarms, column, report, window
from components.reports.monitoring.watched import Watched
from components.reports.monitoring.wording import times
from components.reports.monitoring.wording.names import column_name
from components.reports.page import Section
from taxiway.ui.monitoring import found
from taxiway.ui.monitoring.found import Query
from taxiway.ui.monitoring.one import chooser, without_windows
from taxiway.ui.views import Asked, Json, MissingError, Site, View, address


def show(site: Site, asked: Asked) -> View:
    """A column over time, and in the window `?window=START`, by default the latest one."""
    name = asked.path["column"]
    watched, query = found.watched(site, asked, of_column=name)
    _require(watched, name)
    chosen = asked.query.get("window", "")
    start = found.moment(chosen) if chosen else watched.windows.last_with_rows
    model = address("monitoring", watched.model, **query.fields)
    return View(
        column_name(name),
        lambda: list(_sections(site, watched, query, name, start)),
        lambda: _document(watched, name, start),
        report.range_of(watched),
        (*found.CRUMBS, (watched.model, model)),
        actions=chooser(watched, query, address("monitoring", watched.model, "columns", name)),
    )


def _require(watched: Watched, name: str) -> None:
    """An address may name anything."""
    if not any(watched.store.open(table) and _has(watched, table, name) for table in (TRAINING, "profile")):
        raise MissingError(
            f"{watched.model} has no column {name!r}", fix=f"see the columns at {address('monitoring', watched.model)}"
        )


def _has(watched: Watched, table: str, name: str) -> bool:
    return bool(watched.store.read(table, [("column", "=", name)], ["column"]).num_rows)


def _sections(site: Site, watched: Watched, query: Query, name: str, start: datetime | None) -> Iterator[Section]:
    if start is None:
        yield without_windows(site, watched, query)
        return
    own = [each for each in watched.alarms if each.column == name]
    if own:
        yield Section("alarms", "Alarms", alarms.listing(own, watched.links))
    lasting = times.lasting(watched.windows.seconds)
    words = f"The window of {lasting} from {times.short(start)} UTC. A click on a time line chooses another one."
    yield Section("window", "Distributions", window.one(watched, start, name), words)
    words = "Grey: what each measure stays under in 95 % of windows of this size if nothing has changed."
    yield Section("drift", "Distance from the training data", column.measures(watched, name), words)
    yield Section("values", "Values", column.values(watched, name))


def _document(watched: Watched, name: str, start: datetime | None) -> Json:
    where = watched.scope.filters(("column", "=", name))
    return {
        "model": watched.model,
        "column": name,
        "profile": watched.store.read("profile", where).to_pylist(),
        "drift": watched.store.read("drift", where).to_pylist(),
        "training": watched.store.read(TRAINING, [("column", "=", name)]).to_pylist(),
        "alarms": [asdict(each) for each in watched.alarms if each.column == name],
        "window": start,
    }
