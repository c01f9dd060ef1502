"""What a person says of the version that waits, and the commands that do the same."""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup

from components.contract.commands import typed
from components.contract.errors import UserError
from components.reports.markup import tag
from components.reports.parts import block, paragraph, stack
from taxiway.delivery.keeper import ABORT, APPROVE, Keeper
from taxiway.lineage.loop.cycle import State
from taxiway.loop import people
from taxiway.ui import forms
from taxiway.ui.loop import found
from taxiway.ui.loop.found import Found
from taxiway.ui.views import Asked, Site, address

_MOST_LETTERS, _MOST_REASON = 200, 1000


def approve(site: Site, asked: Asked) -> str:
    """Lets the version go on."""
    return _say(site, asked, approves=True)


def reject(site: Site, asked: Asked) -> str:
    """Takes the version back."""
    return _say(site, asked, approves=False)


def form(model: Found, asked: Asked) -> Markup | None:
    """The form of what can be said now; None if there is nothing."""
    if not _takes_words(model):
        return None
    by = forms.field("by", "Your name", placeholder="who decides")
    reason = forms.field("reason", "Reason, kept in the lineage", placeholder="right more often")
    seen = tag("input", type="hidden", name_="at", value=_at(model))
    approve_ = forms.button("Approve", kind="primary", place=address("loop", model.model, "approve"))
    reject_ = forms.button(
        "Reject" if _is_judged(model) else "Take back", kind="danger", place=address("loop", model.model, "reject")
    )
    buttons = [approve_, reject_] if model.waits else [reject_]
    fields = tag("div", by, reason, class_="fields")
    place = address("loop", model.model, "reject")
    sent = forms.doing(place, asked, seen, fields, tag("div", *buttons, class_="actions"), label="Your decision")
    return stack(sent, paragraph("The same from a terminal:", quiet=True), block(_commands(model)))


def _takes_words(model: Found) -> bool:
    return model.waits or model.running is not None


def _is_judged(model: Found) -> bool:
    return bool(model.current and model.current.state == State.JUDGED)


def _at(model: Found) -> str:
    """What a person has seen: an answer to something else does not count."""
    if model.current:
        return f"{model.current.id}/{len(model.current.events)}"
    return f"{model.running.id}/{model.running.step}" if model.running else ""


def _commands(model: Found) -> str:
    command, no = ("loop", "reject") if model.current else ("rollout", "abort")
    both = [typed(f"taxiway {command} approve", model.model, "--reason", "right more often")] if model.waits else []
    return "\n".join([*both, typed(f"taxiway {command} {no}", model.model, "--reason", "not now")])


def _say(site: Site, asked: Asked, *, approves: bool) -> str:
    from taxiway.lineage.store import LineageStore

    model = found.of(site, asked.path["model"])
    by, reason = _line(asked, "by", _MOST_LETTERS), _line(asked, "reason", _MOST_REASON)
    if not by:
        raise UserError("a version is approved or rejected by somebody", fix="go back, and give your name")
    if not _takes_words(model):
        raise UserError(f"no version of {model.model} waits any more", fix="go back, and look at the time line")
    if asked.form.get("at", "") != _at(model):
        raise UserError("the rollout has gone on since the page was shown", fix="go back, and look at it again")
    now = datetime.now(UTC)
    if model.current:
        with site.lineage():
            store = LineageStore.open(site.home.lineage)
            people.answer(store, model.current, approves=approves, by=by, reason=reason, now=now)
    else:
        Keeper(site.home.rollouts / model.model).say(APPROVE if approves else ABORT, by, reason, now)
    return address("loop", model.model)


def _line(asked: Asked, name: str, most: int) -> str:
    text = asked.form.get(name, "").strip()
    if len(text) > most:
        raise UserError(f"the {name} has {len(text)} letters", fix=f"use at most {most}")
    return text
