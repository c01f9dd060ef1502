"""A page: one HTML file with its style and script inside, which loads nothing and runs nothing else."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from components.reports.markup import text

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
    page = _environment().get_template("page.html")
    return page.render(
        title=title, subtitle=subtitle, sections=sections, style=style, script=script, policy=_policy(style, script)
    )


def _policy(style: str, script: str) -> str:
    """Forbids everything but this style, this script, and pictures that are inside of the page."""
    allowed = {"style-src": f"'{_hash(style)}'", "script-src": f"'{_hash(script)}'", "img-src": "data:"}
    closed = ["default-src 'none'", "base-uri 'none'", "form-action 'none'"]
    return "; ".join([*closed, *(f"{kind} {what}" for kind, what in allowed.items())])


def _hash(source: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"


@functools.cache
def source(name: str) -> Markup:
    """Our own style or script: it goes into the page as it is."""
    return Markup((_TEMPLATES / name).read_text())


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalize(value: Any) -> Markup:
    return text(value)
