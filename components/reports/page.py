"""A page: one HTML file with its style and script inside, which loads nothing and runs nothing else."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from components.reports.markup import tag

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading.

    Attributes:
        id: Its anchor, unique in the page: `statistics`.
        title: Its heading.
        body: Its content; its own headings are h3 and below.
        summary: One sentence below the heading: what a reader should take away.
    """

    id: str
    title: str
    body: Markup
    summary: str = ""


def render(title: str, sections: Sequence[Section], *, subtitle: str = "") -> str:
    """A whole page with a list of contents."""
    style, script = source("page.css"), source("page.js")
    body = [_header(title, subtitle), tag("div", _contents(sections), _main(sections), class_="columns")]
    whole = tag(
        "html",
        tag("head", *_head(title, _policy(style, script)), tag("style", style)),
        tag("body", tag("a", "Skip to the content", class_="skip", href="#content"), *body, tag("script", script)),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{whole}\n"


def _head(title: str, policy: str) -> list[Markup]:
    named = {"viewport": "width=device-width, initial-scale=1", "color-scheme": "light dark", "referrer": "no-referrer"}
    return [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        *(tag("meta", name_=name, content=content) for name, content in named.items()),
        tag("title", title),
    ]


def _header(title: str, subtitle: str) -> Markup:
    return tag("header", tag("h1", title), tag("p", subtitle, class_="subtitle") if subtitle else None)


def _contents(sections: Sequence[Section]) -> Markup | None:
    """Links to the sections, if there are several."""
    if len(sections) < 2:
        return None
    links = (tag("li", tag("a", each.title, href=f"#{each.id}")) for each in sections)
    return tag("nav", tag("ol", *links), aria_label="Contents")


def _main(sections: Sequence[Section]) -> Markup:
    return tag("main", *map(_section, sections), id="content", tabindex="-1")


def _section(section: Section) -> Markup:
    name = f"{section.id}-title"
    summary = tag("p", section.summary, class_="summary") if section.summary else None
    return tag("section", tag("h2", section.title, id=name), summary, section.body, id=section.id, aria_labelledby=name)


def _policy(style: str, script: str) -> str:
    """Forbids everything but this style, this script, and pictures that are inside of the page."""
    allowed = {"style-src": f"'{_hash(style)}'", "script-src": f"'{_hash(script)}'", "img-src": "data:"}
    closed = ["default-src 'none'", "base-uri 'none'", "form-action 'none'"]
    return "; ".join([*closed, *(f"{kind} {what}" for kind, what in allowed.items())])


def script_source() -> str:
    """What a Content-Security-Policy has to allow for the script inside of our pages."""
    return f"'{_hash(source('page.js'))}'"


def _hash(source: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"


@functools.cache
def source(name: str) -> Markup:
    """Our own style or script: it goes into the page as it is."""
    return Markup((_TEMPLATES / name).read_text())
