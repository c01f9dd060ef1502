"""The columns of a window beside the training data, and one column in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from markupsafe import Markup

from components.monitoring.store import Filter
from components.monitoring.tables import TRAINING
from components.reports.figures import NOTHING, counted, number, percent
from components.reports.markup import Content
from components.reports.monitoring import distributions
from components.reports.monitoring.column import figures
from components.reports.monitoring.distributions import SMALL, Profile
from components.reports.monitoring.links import link
from components.reports.monitoring.watched import Watched
from components.reports.monitoring.wording.names import ALL, column_name, effect, short_effect, version_name
from components.reports.parts import badge, facts, paragraph, stack
from components.reports.tables import Cell, Column, table

_PROFILE = (
    *("version", "column", "kind", "rows", "missing", "unseen", "mean", "deviation", "minimum", "maximum"),
    *("top_values", "unseen_values", "histogram"),
)
_DRIFT = ("version", "column", "test", "effect", "effect_unit", "p_value", "p_adjusted", "signal", "importance")

Key = tuple[int | None, str]
"""A version and a column."""


def profiles(watched: Watched, start: datetime, *filters: Filter) -> dict[Key, Profile]:
    """The profiles of a window's columns."""
    rows = watched.store.read("profile", watched.scope.at(start).filters(*filters), _PROFILE)
    return {(row["version"], row["column"]): row for row in rows.to_pylist()}


def trained(watched: Watched, *filters: Filter) -> dict[Key, Profile]:
    """The profiles of the training data's columns, by version."""
    if watched.store.open(TRAINING) is None:
        return {}
    rows = watched.store.read(TRAINING, filters, _PROFILE)
    return {(row["version"], row["column"]): row for row in rows.to_pylist()}


def decisions(watched: Watched, start: datetime, *filters: Filter) -> list[Mapping[str, Any]]:
    """What the tests say of a window's columns, those with signals first."""
    where = watched.scope.at(start).filters(("against", "=", TRAINING), *filters)
    if watched.store.open("drift") is None:
        return []
    found: list[Mapping[str, Any]] = watched.store.read("drift", where, _DRIFT).to_pylist()
    return sorted(
        found, key=lambda each: (not each["signal"], -abs(each["importance"] or 0), -abs(each["effect"] or 0))
    )


def listing(watched: Watched, start: datetime) -> Markup:
    """All columns of a window, each beside the training data of the version that answered."""
    now, before = profiles(watched, start), trained(watched)
    if not now:
        return paragraph("This window has no rows.")
    tested = decisions(watched, start)
    keys = list(dict.fromkeys([*((each["version"], each["column"]) for each in tested), *now]))
    is_several = len({version for version, _ in keys}) > 1
    columns: list[str | Column] = ["Column", *(["Version"] if is_several else []), "Training and window"]
    columns += [Column("Effect", True), Column("Moves answers", True), "Test"]
    columns += [Column("Mean", True), Column("Missing", True), Column("New", True)]
    rows = [
        _row(watched, key, has_version=is_several, tested=tested, now=now[key], before=before.get(key))
        for key in keys
        if key[1] and key in now
    ]
    return table(counted(len(rows), "column"), columns, rows, hide_caption=True)


def _row(
    watched: Watched,
    key: Key,
    *,
    has_version: bool,
    tested: Sequence[Mapping[str, Any]],
    now: Profile,
    before: Profile | None,
) -> list[Cell | Content]:
    name = column_name(key[1])
    own = [each for each in tested if (each["version"], each["column"]) == key]
    first = own[0] if own else {}
    drawn = distributions.beside({"training": before, "window": now}, f"Training and window of {name}", SMALL)
    shown = short_effect(first.get("effect"), first.get("effect_unit"))
    importance = first.get("importance")
    return [
        Cell(link(name, watched.links.column(key[1])), name),
        *([version_name(key[0])] if has_version else []),
        drawn,
        Cell(shown, abs(first.get("effect") or 0.0)),
        Cell(NOTHING if importance is None else f"{importance:.2f} sd", importance or 0.0),
        _verdict(own),
        *_pair(now, before),
    ]


def _verdict(tested: Sequence[Mapping[str, Any]]) -> Content:
    signals = [each for each in tested if each["signal"]]
    if signals:
        return badge(", ".join(dict.fromkeys(str(each["test"]) for each in signals)), "bad")
    return badge("as usual", "good") if tested else None


def _pair(now: Profile, before: Profile | None) -> Iterator[Cell]:
    """Training and window, of mean, missing and new values."""
    mean, earlier = (_mean(each) for each in (now, before))
    pair = f"{number(earlier)} → {number(mean)}" if earlier is not None else number(mean)
    yield Cell(pair, "" if mean is None else mean)
    yield Cell(percent(_part(now, "missing")), _part(now, "missing"))
    yield Cell(percent(_part(now, "unseen")), _part(now, "unseen"))


def _mean(profile: Profile | None) -> float | None:
    """The mean of numbers; that of a category's lengths tells people nothing."""
    return profile["mean"] if profile and profile["kind"] == "number" else None


def _part(profile: Profile, name: str) -> float:
    return (profile[name] or 0) / profile["rows"] if profile["rows"] else 0.0


def one(watched: Watched, start: datetime, column: str) -> Markup:
    """One column in a window, beside the training data and the window before."""
    where: Filter = ("column", "=", column)
    now, training = profiles(watched, start, where), trained(watched, where)
    before = watched.windows.before(start)
    previous = profiles(watched, before, where) if before else {}
    parts = [_one(watched, key, now[key], training.get(key), previous.get(key), start=start) for key in now]
    return stack(*parts) if parts else paragraph("The column is not in this window.")


def _one(
    watched: Watched, key: Key, now: Profile, training: Profile | None, previous: Profile | None, *, start: datetime
) -> Markup:
    title = f"{column_name(key[1])}, {version_name(key[0])}"
    found = {"training": training, "this window": now, "window before": previous}
    tested = decisions(watched, start, ("column", "=", key[1]))
    own = [each for each in tested if each["version"] == key[0]]
    return stack(distributions.beside(found, title), facts([*figures(dict(now)), *_tested(own)]))


def _tested(own: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Content, Content]]:
    for each in own:
        verdict = badge("signal", "bad") if each["signal"] else badge("as usual", "good")
        words = effect(each["effect"], each["effect_unit"])
        yield f"Test: {each['test']}", stack(verdict, f" {words}, adjusted p {number(each['p_adjusted'], 3)}")


def together(watched: Watched, start: datetime) -> Markup | None:
    """What the measure over all columns says of a window."""
    found = decisions(watched, start, ("column", "=", ALL))
    return facts(_tested(found)) if found else None
