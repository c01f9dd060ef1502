"""The page of one window of a watched model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from markupsafe import Markup

from components.reports.figures import counted
from components.reports.markup import tag
from components.reports.monitoring import window
from components.reports.monitoring.distributions import Profile
from components.reports.monitoring.links import Links
from components.reports.monitoring.scope import Scope
from components.reports.monitoring.watched import Watched
from components.reports.monitoring.wording import times
from components.reports.page import Section
from components.reports.parts import stack
from taxiway.ui.monitoring import found
from taxiway.ui.monitoring.found import Query
from taxiway.ui.views import Asked, Json, MissingError, Site, View, address


def show(site: Site, asked: Asked) -> View:
    """All columns of a window beside the training data."""
    model, query, start = asked.path["model"], Query.of(asked.query), found.moment(asked.path["start"])
    links = query.links(model)
    every = Watched.of(found.store(site, model), model, Scope(), links)
    watched = Watched.of(every.store, model, _scope(query, start), _at(start, query, model))
    if not watched.windows.starts:
        raise MissingError(f"there is no window from {times.short(start)}", fix=f"see {address('monitoring', model)}")
    lasting = times.lasting(watched.windows.seconds)
    rows = counted(watched.windows.rows[0] or 0, "row")
    where = f" · {query.fields['slice']}" if query.fields["slice"] else ""
    return View(
        f"{times.short(start)} UTC",
        lambda: list(_sections(watched, start)),
        lambda: _document(watched, start),
        f"{lasting} · {rows}{where}",
        (*found.CRUMBS, (model, address("monitoring", model))),
        actions=_beside(every, start),
    )


def _scope(query: Query, start: datetime) -> Scope:
    return Scope(query.scope.version, query.scope.slice).at(start)


def _at(start: datetime, query: Query, model: str) -> Links:
    """A column's link leads to this window of it."""
    kept = {name: query.fields[name] for name in ("version", "slice")}
    return Links(
        lambda column: address("monitoring", model, "columns", column, **kept, window=times.iso(start)) + "#window",
        alarm=lambda alarm: address("monitoring", model, "alarms", alarm),
    )


def _beside(every: Watched, start: datetime) -> Markup:
    """The windows before and after."""
    places = (("← Window before", every.windows.before(start)), ("Window after →", every.windows.after(start)))
    links = [tag("a", words, href=every.links.window(at), class_="button") for words, at in places if at]
    return stack(*links)


def _sections(watched: Watched, start: datetime) -> Iterator[Section]:
    together = window.together(watched, start)
    if together:
        yield Section("together", "All columns together", together)
    words = "Those with a signal come first. Blue: the training data of the version that answered."
    yield Section("columns", "Columns", window.listing(watched, start), words)


def _document(watched: Watched, start: datetime) -> Json:
    return {
        "model": watched.model,
        "start": start,
        "end": watched.windows.ends[0],
        "rows": watched.windows.rows[0],
        "versions": [version for version, _ in watched.versions],
        "columns": _listed(window.profiles(watched, start)),
        "training": _listed(window.trained(watched)),
        "tests": window.decisions(watched, start),
    }


def _listed(profiles: dict[window.Key, Profile]) -> Sequence[Profile]:
    return list(profiles.values())
