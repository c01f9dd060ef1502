"""The page of a cycle: its time line."""

from __future__ import annotations

from components.reports.page import Section
from components.reports.parts import facts
from taxiway.loop.printing import cycle_json
from taxiway.ui.loop import drawing, found
from taxiway.ui.views import Asked, Site, View, address


def show(site: Site, asked: Asked) -> View:
    """The page of a cycle."""
    model = found.of(site, asked.path["model"])
    told = found.told(site, found.cycle(model, asked.path["cycle"]))
    cycle = told.cycle
    given = [(name, str(value)) for name, value in cycle.facts.get("parameters", {}).items()]

    def sections() -> list[Section]:
        line = drawing.line(told.moments, goes_on=not cycle.is_over)
        parts = [Section("line", "What happened", line, f"Times are UTC, of {cycle.started:%Y-%m-%d}.")]
        return [*parts, Section("parameters", "The pipeline's parameters", facts(given))] if given else parts

    crumbs = (*found.CRUMBS, (cycle.model, address("loop", cycle.model)))
    return View(cycle.id, sections, lambda: cycle_json(cycle), drawing.state(cycle), crumbs)
