"""Serving another version: what would be done, and, after a reason was given, doing it."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from components.contract.errors import UserError
from components.reports.markup import tag
from components.reports.page import Section
from components.reports.parts import block, paragraph, stack
from taxiway.lineage.lookup import displayed
from taxiway.ui import forms
from taxiway.ui.models.versions import known
from taxiway.ui.views import Asked, MissingError, Site, View, address
from taxiway.versions import rollback
from taxiway.versions.rollback import Plan

_CRUMBS = (("Models", "/models"),)
_MOST_LETTERS = 1000


def show(site: Site, asked: Asked) -> View:
    """What serving `?to=VERSION` of `?destination=PLACE` would do."""
    place = _known(site, asked.query.get("destination", ""))
    planned = _planned(place, asked.query.get("to", ""))
    document = {"destination": place, "to": planned.target.number, "plan": str(planned).splitlines()}
    title = f"Serve {planned.target.number} of {Path(place).name}"
    sections = [Section("plan", "What will be done", _body(planned, place, asked))]
    return View(title, lambda: sections, lambda: document, displayed(place), _CRUMBS)


def act(site: Site, asked: Asked) -> str:
    """Does it, if the plan is still the one that was shown."""
    from taxiway.lineage.store import LineageStore

    place = _known(site, asked.form.get("destination", ""))
    reason = asked.form.get("reason", "").strip()
    if not reason:
        raise UserError("a rollback from here needs a reason", fix="go back, and say why")
    if len(reason) > _MOST_LETTERS:
        raise UserError(f"the reason has {len(reason)} letters", fix=f"use at most {_MOST_LETTERS}")
    planned = _planned(place, asked.form.get("to", ""))
    if _one_line(str(planned)) != _one_line(asked.form.get("plan", "")):
        raise UserError(f"{place} has changed since the plan was shown", fix="go back, and look at the plan again")
    with site.lineage():
        rollback.roll_back(planned, reason, LineageStore.open(site.home.lineage))
    return address("models")


def _known(site: Site, place: str) -> str:
    """Only places that models were pushed to: a page must not lead to other folders."""
    if place not in known(site):
        raise MissingError(f"no model was pushed to {place!r}", fix="see the destinations at /models")
    return place


def _planned(place: str, to: str) -> Plan:
    if not (to.isascii() and to.isdigit()):
        raise MissingError(f"there is no version {to!r} at {place}", fix="see the versions at /models")
    return rollback.plan(place, int(to))


def _one_line(text: str) -> str:
    """Forms change the ends of lines."""
    return " ".join(text.split())


def _body(planned: Plan, place: str, asked: Asked) -> Markup:
    hidden = {"destination": place, "to": str(planned.target.number), "plan": str(planned)}
    inputs = [tag("input", type="hidden", name_=name, value=value) for name, value in hidden.items()]
    reason = forms.field("reason", "Reason, kept in the lineage", placeholder="calibration drifted")
    button = forms.button(f"Serve {planned.target.number} instead of {planned.origin.number}")
    form = forms.doing("/models/rollback", asked, *inputs, reason, button, label="Rollback")
    kept = paragraph("Nothing is deleted, and the same page can undo it.", quiet=True)
    return stack(block(str(planned)), kept, form)
