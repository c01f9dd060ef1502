"""The layout of all pages: navigation, heading, contents, sections; and the files of style and script."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from markupsafe import Markup

from components.reports.markup import tag
from components.reports.page import Section
from taxiway.ui.views import Room, View

_CONTENTS = 4
"""Pages with at least so many sections have a list of contents."""
_KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_PLACES = {
    "page.css": "components.reports.templates",
    "page.js": "components.reports.templates",
    "ui.css": "taxiway.ui.static",
    "ui.js": "taxiway.ui.static",
    "icon.svg": "taxiway.ui.static",
}


@dataclass(frozen=True)
class File:
    """A file of style or script."""

    content: bytes
    kind: str
    etag: str


def render(view: View, *, rooms: Sequence[Room], current: Room | None, json: str) -> str:
    """A page as HTML.

    Args:
        view: What it shows.
        rooms: The entries of the navigation.
        current: The room that the page is in.
        json: The address of the same as JSON; empty for none.
    """
    sections = view.sections()
    contents = _contents(sections) if len(sections) >= _CONTENTS else None
    live = {"data_live": view.live.address, "data_state": view.live.state} if view.live else {}
    whole = tag(
        "html",
        tag("head", *_head(view)),
        tag(
            "body",
            tag("a", "Skip to the content", class_="skip", href="#content"),
            tag("header", _bar(rooms, current), _crumbs(view), *_heading(view)),
            tag("div", contents, _main(sections), class_="columns" if contents else "columns single"),
            _footer(json),
            **live,
        ),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{whole}\n"


def _head(view: View) -> list[Markup]:
    return [
        tag("meta", charset="utf-8"),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("title", f"{view.title} · Taxiway"),
        tag("link", rel="icon", href="/static/icon.svg", type="image/svg+xml"),
        *(tag("link", rel="stylesheet", href=f"/static/{name}") for name in _PLACES if name.endswith(".css")),
        *(tag("script", src=f"/static/{name}", defer=True) for name in _PLACES if name.endswith(".js")),
    ]


def _bar(rooms: Sequence[Room], current: Room | None) -> Markup:
    entries = (
        tag("li", tag("a", room.name, href=room.path, aria_current="page" if room is current else None))
        for room in rooms
    )
    site = tag("nav", tag("ul", *entries), class_="site", aria_label="Site")
    return tag("div", tag("a", "Taxiway", class_="brand", href="/"), site if rooms else None, class_="bar")


def _crumbs(view: View) -> Markup | None:
    if not view.crumbs:
        return None
    links = (tag("li", tag("a", name, href=place)) for name, place in view.crumbs)
    return tag("nav", tag("ol", *links), class_="crumbs", aria_label="Above this page")


def _heading(view: View) -> list[Markup]:
    return [
        tag("h1", view.title),
        tag("div", view.subtitle, id="subtitle", class_="subtitle", data_part=True),
        tag("div", view.actions, id="actions", class_="actions", data_part=True),
    ]


def _contents(sections: Sequence[Section]) -> Markup:
    links = (tag("li", tag("a", each.title, href=f"#{each.id}")) for each in sections if each.title)
    return tag("nav", tag("ol", *links), class_="contents", aria_label="Contents", id="contents", data_part=True)


def _main(sections: Sequence[Section]) -> Markup:
    return tag("main", *map(_section, sections), id="content", tabindex="-1")


def _section(section: Section) -> Markup:
    name = f"{section.id}-title"
    head = tag("h2", section.title, id=name) if section.title else None
    summary = tag("p", section.summary, class_="summary") if section.summary else None
    labelled = name if section.title else None
    return tag("section", head, summary, section.body, id=section.id, aria_labelledby=labelled, data_part=True)


def _footer(json: str) -> Markup:
    link = tag("a", "This page as JSON", href=json) if json else None
    return tag("footer", link, tag("span", id="live", role="status"))


@functools.cache
def files() -> dict[str, File]:
    """The files of style and script by name; reports have two of them inside."""
    found = {}
    for name, package in _PLACES.items():
        module, _, folder = package.rpartition(".")
        content = resources.files(module).joinpath(folder, name).read_bytes()
        etag = hashlib.sha256(content).hexdigest()[:16]
        found[name] = File(content, _KINDS[name.rpartition(".")[2]], etag)
    return found
