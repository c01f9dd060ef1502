"""Small parts of a page: badges, facts, notices, folds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from markupsafe import Markup

from components.reports.markup import Content, join, tag

Kind = Literal["good", "bad", "warn", "info", "plain"]
_SIGNS = {"good": "✓", "bad": "✗", "warn": "!", "info": "i", "plain": ""}


def badge(label: Content, kind: Kind = "plain", sign: str | None = None) -> Markup:
    """A short word in a pill. Its sign says the same as its colour."""
    shown = _SIGNS[kind] if sign is None else sign
    before = tag("span", shown, aria_hidden="true", class_="sign") if shown else None
    return tag("span", before, label, class_=f"badge {kind}")


def notice(content: Content, kind: Kind = "info", title: str = "") -> Markup:
    """A box with something that a reader must not miss."""
    head = tag("strong", title, " ") if title else None
    return tag("div", tag("p", head, content), class_=f"notice {kind}", role="note")


def facts(pairs: Iterable[tuple[Content, Content]]) -> Markup:
    """Names with values, as a list of definitions."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs), class_="facts")


def tiles(figures: Iterable[tuple[Content, Content, Content]]) -> Markup:
    """Large figures side by side: name, figure, and a small note below."""
    return tag("ul", *(_tile(*figure) for figure in figures), class_="tiles")


def _tile(name: Content, figure: Content, note: Content) -> Markup:
    below = tag("span", note, class_="note") if note else None
    return tag("li", tag("span", name, class_="name"), tag("span", figure, class_="figure"), below)


def fold(summary: Content, *content: Content, is_open: bool = False) -> Markup:
    """Content that is shown by a click; prints open."""
    return tag("details", tag("summary", summary), *content, open=is_open)


def side_by_side(*parts: Content) -> Markup:
    """Parts beside each other where there is room."""
    return tag("div", *parts, class_="beside")


def heading(title: Content, id_: str | None = None) -> Markup:
    """A heading inside of a section."""
    return tag("h3", title, id=id_)


def paragraph(*content: Content, quiet: bool = False) -> Markup:
    """A paragraph; a quiet one is an explanation."""
    return tag("p", *content, class_="quiet" if quiet else None)


def code(content: Content) -> Markup:
    """A name, a path, a command or a digest."""
    return tag("code", content)


def block(content: Content) -> Markup:
    """Lines of code or of a log."""
    return tag("pre", content, tabindex="0")


def unordered(items: Sequence[Content]) -> Markup:
    """A list."""
    return tag("ul", *(tag("li", item) for item in items))


def stack(*parts: Content) -> Markup:
    """Parts below each other."""
    return join(parts, "\n")
