"""Draws a time line, a rollout and states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from components.reports.figures import counted, duration, number
from components.reports.markup import Content, join, tag
from components.reports.parts import Kind as Colour
from components.reports.parts import badge, code, facts, notice, paragraph, stack
from components.reports.tables import Cell, Column, table
from taxiway.delivery.rollout import Reading, Rollout
from taxiway.delivery.settings import Delivery
from taxiway.lineage.loop.cycle import Cycle, State
from taxiway.lineage.loop.timeline import CLOSED, RAISED, Moment
from taxiway.ui.views import address

_STATES: dict[State, Colour] = {
    State.PROMOTED: "good",
    State.ROLLED_BACK: "bad",
    State.FAILED: "bad",
    State.NOTHING_PUSHED: "plain",
}
_VERDICTS: dict[str, Colour] = {"success": "good", "failure": "bad", "inconclusive": "warn"}
_TITLES: dict[str, Colour] = {RAISED: "bad", CLOSED: "good"}


def state(cycle: Cycle) -> Markup:
    """Where a cycle is, as a badge; what waits for a person says so."""
    if not cycle.is_over and cycle.facts.get("needs"):
        return badge("waits for approval", "warn")
    return badge(words(cycle.state), _STATES.get(cycle.state, "info"), None if cycle.is_over else "")


def words(state: State) -> str:
    """A state in words."""
    return "taken back" if state == State.ROLLED_BACK else str(state).replace("_", " ")


def line(moments: Sequence[Moment], *, goes_on: bool) -> Markup:
    """What happened, below each other, each with how long after the one before.

    Args:
        moments: What happened, the earliest first.
        goes_on: Whether more will happen.
    """
    before = [None, *moments]
    items = [_moment(each, last) for each, last in zip(moments, before, strict=False)]
    rest = [tag("li", tag("span", "goes on", class_="quiet"), class_="open")] if goes_on else []
    return tag("ol", *items, *rest, class_="story")


def _moment(moment: Moment, last: Moment | None) -> Markup:
    later = (moment.time - last.time).total_seconds() if last else 0.0
    shown = tag("time", f"{moment.time:%H:%M:%S}", datetime=moment.time.isoformat(timespec="seconds"))
    gap = tag("span", f"+{duration(later)}", class_="quiet") if later >= 1 else None
    name = badge(moment.title, _TITLES.get(moment.title) or _colour(moment), "")
    who = f"by {moment.by}" if moment.by else ""
    head = tag("div", shown, gap, name, tag("span", who, class_="quiet") if who else None, class_="when")
    links = list(_links(moment))
    below = tag("p", join(links, " · "), class_="links") if links else None
    return tag("li", head, tag("p", moment.words), below, class_=_colour(moment))


def _colour(moment: Moment) -> Colour:
    if moment.title in _TITLES:
        return _TITLES[moment.title]
    if moment.facts.get("needs"):
        return "warn"
    return _STATES.get(moment.state, "info") if moment.state else "plain"


def _links(moment: Moment) -> Iterator[Content]:
    """Where more is to be seen: the alarm, the run and its report, the version."""
    known = moment.facts
    if name := known.get("alarm"):
        yield tag("a", "the alarm", href=address("monitoring", known["model"], "alarms", name))
    if page := known.get("page"):
        yield tag("a", "the run on Kubeflow", href=page)
    elif run := known.get("run"):
        yield tag("a", f"run {run}", href=address("runs", run))
        if moment.state in (State.JUDGED, State.NOTHING_PUSHED):
            yield tag("a", "its report", href=address("runs", run, "report.html"))
    if (version := known.get("version")) and moment.state == State.JUDGED:
        yield tag("a", f"version {version}", href="/models")


def rollout(found: Rollout, delivery: Delivery | None) -> Markup:
    """A rollout: the weights, its step, and what each guardrail says."""
    trouble = notice(found.trouble, "warn", "Something does not answer.") if found.trouble else None
    return stack(trouble, _weights(found, delivery), facts(_facts(found, delivery)), readings(found.readings))


def _share(found: Rollout, delivery: Delivery | None) -> float | None:
    """The challenger's share of the traffic, in percent."""
    if found.is_over:
        return 100.0 if found.state == "promoted" else 0.0
    if delivery is None or found.step >= len(delivery.steps):
        return None
    return delivery.steps[found.step].weight if found.since else (0.0 if found.step == 0 else None)


def _weights(found: Rollout, delivery: Delivery | None) -> Markup | None:
    share = _share(found, delivery)
    if share is None:
        return None
    parts = [
        tag("div", tag("span", "challenger"), tag("b", f"{share:g} %"), code(str(found.challenger))),
        tag("div", tag("span", "champion"), tag("b", f"{100 - share:g} %"), code(str(found.champion))),
    ]
    bar = tag("progress", f"{share:g} %", value=f"{share:g}", max="100", aria_label="The challenger's share of traffic")
    return tag("div", tag("div", *parts, class_="sides"), bar, class_="shares")


def _facts(found: Rollout, delivery: Delivery | None) -> Iterator[tuple[Content, Content]]:
    kind: Colour = {"promoted": "good", "rolled_back": "bad", "paused": "warn"}.get(found.state, "info")  # type: ignore[assignment]
    yield "State", badge(found.state.replace("_", " "), kind)
    yield "Because", found.reason
    if delivery:
        weights = ", ".join(f"{each.weight:g}" for each in delivery.steps)
        yield "Step", f"{found.step + 1} of {len(delivery.steps)} ({weights} %)"
    yield "Since", f"{(found.since or found.started):%Y-%m-%d %H:%M:%S} UTC"
    for each in found.approvals:
        yield "Approved", f"step {each.step + 1} by {each.by}: {each.reason or 'no reason given'}"


def readings(found: Sequence[Reading]) -> Markup:
    """What each guardrail says, and the figures behind it."""
    if not found:
        return paragraph("No guardrail has any evidence yet.", quiet=True)
    columns: list[str | Column] = ["Guardrail", "Verdict", Column("Champion", True), Column("Challenger", True)]
    columns += [Column("Requests", True), "In words"]
    return table("Guardrails", columns, [_reading(each) for each in found], hide_caption=True)


def _reading(each: Reading) -> list[Cell | Content]:
    champion, challenger = each.requests
    return [
        each.guardrail,
        badge(each.verdict, _VERDICTS.get(each.verdict, "plain")),
        Cell(number(each.champion), each.champion),
        Cell(number(each.challenger), each.challenger),
        Cell(f"{champion:,} / {challenger:,}", challenger),
        each.sentence,
    ]


def took(cycle: Cycle) -> str:
    """How long a cycle took, or takes so far."""
    return duration((cycle.events[-1].time - cycle.started).total_seconds())


def count(cycles: Sequence[Cycle]) -> str:
    """How many cycles there are."""
    return counted(len(cycles), "cycle")
