"""Forms: those that ask are GET, so that every view is an address; those that do something are POST, with a token."""

from __future__ import annotations

from markupsafe import Markup

from components.reports.markup import Content, tag
from taxiway.ui import guard
from taxiway.ui.views import Asked


def doing(place: str, asked: Asked, *content: Content, label: str = "") -> Markup:
    """A form that does something."""
    token = tag("input", type="hidden", name_=guard.FIELD, value=asked.form_token)
    return tag("form", token, *content, method="post", action=place, class_="doing", aria_label=label or None)


def asking(place: str, *content: Content, label: str) -> Markup:
    """A form whose answer is an address that can be shared."""
    return tag("form", *content, method="get", action=place, class_="asking", role="search", aria_label=label)


def field(name: str, label: str, value: str = "", *, placeholder: str = "", type_: str = "text") -> Markup:
    """A line of text with its label."""
    entry = tag(
        "input",
        type=type_,
        name_=name,
        value=value,
        placeholder=placeholder or None,
        autocomplete="off",
        spellcheck="false",
    )
    return tag("label", tag("span", label), entry, class_="field")


def choice(name: str, label: str, options: list[tuple[str, str]], value: str = "") -> Markup:
    """One of some options: pairs of what is sent and what is shown."""
    shown = [tag("option", text, value=sent, selected=sent == value) for sent, text in options]
    return tag("label", tag("span", label), tag("select", *shown, name_=name), class_="field")


def button(label: str, *, kind: str = "", place: str = "") -> Markup:
    """A button that sends its form, to another place if one is given."""
    return tag("button", label, type="submit", class_=kind or None, formaction=place or None)
