"""The page of all models that have a loop."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from components.contract.commands import typed
from components.reports.figures import counted
from components.reports.markup import Content, tag
from components.reports.page import Section
from components.reports.parts import badge, block, paragraph, stack
from components.reports.tables import Cell, table
from taxiway.loop.printing import cycle_json
from taxiway.ui.loop import drawing, found
from taxiway.ui.loop.found import Found
from taxiway.ui.views import Asked, Json, Site, View, address


def show(site: Site, asked: Asked) -> View:
    """The page of all models."""
    del asked
    known = [found.of(site, model) for model in found.models(site)]
    return View(
        "Loop",
        lambda: _sections(known),
        lambda: {"models": [_document(each) for each in known]},
        counted(len(known), "model") if known else "",
    )


def _document(each: Found) -> Json:
    latest = each.cycles[0] if each.cycles else None
    return {"model": each.model, "waits": each.waits, "cycle": cycle_json(latest) if latest else None}


def _sections(known: Sequence[Found]) -> list[Section]:
    if not known:
        words = paragraph("No model was trained again yet. Write the settings of a loop, and run it:")
        commands = f"{typed('taxiway loop init MODEL')}\n{typed('taxiway loop run')}"
        return [Section("none", "No cycles", stack(words, block(commands)))]
    return [Section("models", "Models", _table(known))]


def _table(known: Sequence[Found]) -> Markup:
    columns = ["Model", "State", "Because", "Since", "Triggered by", "Cycles"]
    return table("Models", columns, [_row(each) for each in known], hide_caption=True)


def _row(each: Found) -> list[Cell | Content]:
    name = Cell(tag("a", each.model, href=address("loop", each.model)), each.model)
    if each.cycles:
        latest = each.cycles[0]
        since = f"{latest.events[-1].time:%Y-%m-%d %H:%M} UTC"
        return [name, drawing.state(latest), latest.reason, since, latest.trigger.kind, str(len(each.cycles))]
    if each.rollout:
        since = f"{each.rollout.started:%Y-%m-%d %H:%M} UTC"
        return [name, badge(each.rollout.state.replace("_", " ")), each.rollout.reason, since, "hand", "0"]
    return [name, badge("no cycle yet"), None, None, None, "0"]
