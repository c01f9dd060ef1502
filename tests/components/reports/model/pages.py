"""Sections of a report as text."""

from __future__ import annotations

import html
import re

from components.reports.page import Section, render

HOSTILE = "<script>alert(1)</script>"
TURNED = "a\u202eb\x1b[31mc"
"""A right-to-left override and a terminal colour sequence."""


def text(section: Section) -> str:
    """The text of a section, one cell or paragraph a line."""
    broken = re.sub(r"</(?:t[dh]|p|dd|dt|li|h3|caption|summary|figcaption|text|title)>", "\n", str(section.body))
    lines = html.unescape(re.sub(r"<[^>]+>", " ", broken)).splitlines()
    return "\n".join(found for line in lines if (found := " ".join(line.split())))


def cells(section: Section, first: str) -> list[str]:
    """The cells of the row with this header."""
    rows = re.findall(r"<tr>.*?</tr>", str(section.body), re.DOTALL)
    for row in rows:
        found = [
            html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall(r"<t[dh].*?</t[dh]>", row, re.DOTALL)
        ]
        if found and found[0] == first:
            return found[1:]
    raise AssertionError(f"no row begins with {first!r}")


def require_harmless(section: Section) -> None:
    """Asserts that a section escapes untrusted names: none is an element or changes the direction of text."""
    page = render("a run", [section])
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
