"""Where a page has more about a part of a run: addresses on a server, or nothing in a file by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from components.reports.markup import Content, tag


def _nowhere(*names: str) -> str:
    return ""


@dataclass(frozen=True)
class Links:
    """The addresses of logs by task, and of artifacts by task and output; empty for none."""

    log: Callable[[str], str] = _nowhere
    artifact: Callable[[str, str], str] = _nowhere


NOWHERE = Links()


def linked(content: Content, place: str) -> Content | Markup:
    """Content as a link, if there is a place."""
    return tag("a", content, href=place) if place else content
