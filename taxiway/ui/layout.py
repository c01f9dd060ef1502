"""The layout of all pages: navigation, heading, contents, sections; and the files of style and script."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from components.reports.markup import text
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
    return (
        _environment()
        .get_template("page.html")
        .render(
            view=view,
            sections=sections,
            has_contents=len(sections) >= _CONTENTS,
            rooms=rooms,
            current=current,
            json=json,
        )
    )


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


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("taxiway.ui", "static"),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalize(value: Any) -> Markup:
    return text(value)
