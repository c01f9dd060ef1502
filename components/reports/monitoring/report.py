"""A report on a watched model as one file: what its pages show, without links."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from markupsafe import Markup

from components.monitoring.alarms.alarm import Alarm
from components.monitoring.store import Store
from components.reports.figures import counted, number
from components.reports.markup import Content, join
from components.reports.monitoring import alarms, columns, differences, distributions, lines
from components.reports.monitoring.scope import Scope
from components.reports.monitoring.watched import Watched
from components.reports.monitoring.wording import times
from components.reports.monitoring.wording.names import column_name, listed, state_badge, version_name
from components.reports.page import Section, render
from components.reports.parts import badge, heading, notice, paragraph, stack, tiles

_MOST_PICTURES = 6


def report(store: Store, model: str, since: datetime | None = None, until: datetime | None = None) -> str:
    """A model's monitoring in a range of time, as HTML.

    Args:
        store: The model's tables.
        model: Its name.
        since: The first window's start; None for the latest thousand windows.
        until: Where the last window starts at the latest, exclusive; None for the last.
    """
    watched = Watched.of(store, model, Scope(since=since, until=until))
    return render(f"Monitoring of {model}", list(sections(watched)), subtitle=range_of(watched))


def sections(watched: Watched) -> Iterator[Section]:
    """The parts of a model's page that a report has as well."""
    if not watched.windows.starts:
        words = "The monitor has computed no window of this model in this time."
        yield Section("none", "No windows", notice(words, "warn", ""))
        return
    yield Section("now", "At a glance", glance(watched))
    yield Section("alarms", "Alarms", stack(alarms.listing(watched.alarms, watched.links), _pictures(watched)))
    yield Section(
        "lines", "Over time", lines.all_lines(watched), "Alarms are marked in colour, new versions by a line."
    )
    if measured := differences.latest(watched):
        words = "By labels; before these are there, estimated."
        yield Section("quality", "Quality", measured, words)
    if apart := differences.tables(watched):
        words = "Metrics by labels, in the latest window that has them."
        yield Section("differences", "Differences", apart, words)
    found = columns.ranked(watched)
    words = "Those whose changes move the model's answers most come first."
    yield Section("columns", "Columns", columns.listing(watched, found), words)


def range_of(watched: Watched) -> str:
    """The time that is shown."""
    if not watched.windows.starts:
        return ""
    first, last = watched.windows.starts[0], watched.windows.ends[-1]
    count = counted(len(watched.windows.starts), "window")
    return f"{times.short(first)} to {times.short(last)} UTC · {count} of {times.lasting(watched.windows.seconds)}"


def glance(watched: Watched) -> Markup:
    """The state of a model in a few figures."""
    days = max((watched.windows.across[1] - watched.windows.across[0]) / 86_400, 1 / 86_400)
    rows = sum(each or 0 for each in watched.windows.rows)
    answered = [badge(f"version {version}", "info", "") for version, _ in watched.versions]
    figures: list[tuple[Content, Content, Content]] = [
        ("Last window", times.short(watched.windows.starts[-1]), f"{number(watched.windows.rows[-1])} rows"),
        ("Rows per day", number(round(rows / days)) if days >= 1 else number(rows), "" if days >= 1 else "so far"),
        ("Versions", listed(answered), ""),
    ]
    costs = [each for each in watched.traffic["cost"].to_pylist() if each is not None]
    figures += [("Cost", number(round(sum(costs), 2)), "")] if costs else []
    return stack(paragraph(alarms.in_states(watched.alarms)), tiles(figures))


def _pictures(watched: Watched) -> Markup | None:
    """In a report, the pictures of alarms; on a server, they have their own pages."""
    if watched.links.alarm("x"):
        return None
    shown = [each for each in watched.alarms if each.is_on][:_MOST_PICTURES]
    return stack(*(_picture(watched, each) for each in shown))


def _picture(watched: Watched, found: Alarm) -> Markup | None:
    picture = distributions.of_alarm(alarms.picture(watched.store, found.alarm))
    where = f", where {found.slice}" if found.slice else ""
    named = join([state_badge(found.state), column_name(found.column), f"{version_name(found.version)}{where}"], " ")
    return stack(heading(named), picture) if picture else None
