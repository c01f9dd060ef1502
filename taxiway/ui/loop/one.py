"""The page of a model's loop: what goes on now, its latest cycle on a time line, and the cycles before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from markupsafe import Markup

from components.contract.commands import typed
from components.reports.markup import Content, tag
from components.reports.page import Section
from components.reports.parts import notice, paragraph, stack
from components.reports.tables import Cell, table
from taxiway.lineage.loop.cycle import Cycle
from taxiway.loop.printing import cycle_json
from taxiway.ui.loop import acting, drawing, found
from taxiway.ui.loop.found import Found
from taxiway.ui.views import Asked, Json, Site, View, address


def show(site: Site, asked: Asked) -> View:
    """The page of a model's loop."""
    model = found.of(site, asked.path["model"])
    latest = model.cycles[0] if model.cycles else None
    return View(
        model.model,
        lambda: list(_sections(site, asked, model)),
        lambda: _document(model),
        drawing.state(latest) if latest else "",
        found.CRUMBS,
    )


def _document(model: Found) -> Json:
    rollout = {k: v for k, v in asdict(model.rollout).items() if k != "gathered"} if model.rollout else None
    return {
        "model": model.model,
        "waits": model.waits,
        "cycles": [cycle_json(each) for each in model.cycles],
        "rollout": rollout,
    }


def _sections(site: Site, asked: Asked, model: Found) -> Iterator[Section]:
    if decision := acting.form(model, asked):
        title = "It waits for a person" if model.waits else "What can be done"
        yield Section("decision", title, stack(_asked_for(model), decision))
    if model.rollout:
        title = "The rollout now" if model.running else "The latest rollout"
        yield Section("rollout", title, drawing.rollout(model.rollout, model.delivery))
    if model.cycles:
        latest = found.told(site, model.cycles[0])
        body = drawing.line(latest.moments, goes_on=not latest.cycle.is_over)
        yield Section("line", "The latest cycle", body, _summary(latest.cycle))
    if model.cycles[1:]:
        yield Section("earlier", "Earlier cycles", _table(model.cycles[1:]))


def _asked_for(model: Found) -> Markup | None:
    if not model.waits:
        return None
    reason = model.current.reason if model.current else model.running.reason if model.running else ""
    return notice(reason, "warn")


def _summary(cycle: Cycle) -> str:
    when = f"Times are UTC, of {cycle.started:%Y-%m-%d}"
    return f"Triggered by: {cycle.trigger.kind}. {when}; it took {drawing.took(cycle)}."


def _table(cycles: Sequence[Cycle]) -> Markup:
    columns = ["Cycle", "State", "Because", "Began", "Took"]
    shown = table("Earlier cycles", columns, [_row(each) for each in cycles[:100]], hide_caption=True)
    rest, older = len(cycles) - 100, typed("taxiway loop history", cycles[0].model)
    return stack(shown, paragraph(f"{rest} older ones: {older}", quiet=True) if rest > 0 else None)


def _row(cycle: Cycle) -> list[Cell | Content]:
    link = tag("a", cycle.id, href=address("loop", cycle.model, "cycles", cycle.id))
    return [link, drawing.state(cycle), cycle.reason, f"{cycle.started:%Y-%m-%d %H:%M} UTC", drawing.took(cycle)]
