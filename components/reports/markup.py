"""HTML and SVG from Python: everything that is not Markup is made visible and escaped."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from markupsafe import Markup, escape

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufffe\uffff\ud800-\udfff]"
)
_VOID = {"br", "col", "hr", "img", "input", "link", "meta"}
_SHAPES = {"circle", "line", "path", "polygon", "rect"}

Content = object
"""What an element contains: Markup as it is, None as nothing, anything else as text."""


def visible(text: str) -> str:
    """Text that cannot hide anything: without colours of a terminal, and with invisible characters as `\\u202e`."""
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", _ANSI.sub("", text))


def text(value: Content) -> Markup:
    """A value as text of a page; Markup stays as it is."""
    if value is None:
        return Markup()
    return value if isinstance(value, Markup) else escape(visible(str(value)))


def join(parts: Iterable[Content], between: str = "") -> Markup:
    """Parts one after the other."""
    return Markup(between).join(map(text, parts))


def tag(name: str, *children: Content, **attributes: Content) -> Markup:
    """An element. An attribute that is None or False is left out; `class_` is `class`, `aria_label` is `aria-label`."""
    given = "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not None and value is not False
    )
    if name in _VOID or (name in _SHAPES and not children):
        return Markup(f"<{name}{given}>" if name in _VOID else f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{join(children)}</{name}>")


def _attribute(name: str, value: Content) -> str:
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{text(_plain(value))}"'


def _plain(value: Content) -> Content:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def slug(name: str) -> str:
    """A name as an id of HTML; two names may share one."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-") or "x"
