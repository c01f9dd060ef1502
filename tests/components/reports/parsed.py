"""Parses a page into sections, tables, text and links, with the standard library."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "input", "img", "hr", "col", "link"}
HOSTILE = [
    "<script>alert(1)</script>",
    "</style><script>alert(2)</script>",
    '" onmouseover="alert(3)',
    "javascript:alert(4)",
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    "__proto__",
    "{{ 7 * 7 }}",
    "a&b<c",
    "\ud800",
    "naïve 列",
]
"""Hostile names that a column may have."""


@dataclass
class Table:
    """A table: its column titles, and the text of each cell by row."""

    heads: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)

    def row(self, first: str) -> dict[str, str]:
        """The row with this first cell, by column title."""
        [found] = [row for row in self.rows if row[0] == first]
        return dict(zip(self.heads, found, strict=True))


class Page(HTMLParser):
    """A parsed page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html = html
        self.tables: dict[str, Table] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.parts: list[str] = []
        self.wrong: list[str] = []
        self._open: list[str] = []
        self._table: Table | None = None
        self._cell: list[str] | None = None
        self.raw: dict[str, list[str]] = {"style": [], "script": []}
        self.feed(html)
        self.close()
        self.wrong += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self._table = Table()
        elif tag == "tr" and self._table and "thead" not in self._open:
            self._table.rows.append([])
        elif tag in ("td", "th", "caption"):
            self._cell = []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.wrong.append(tag)
        if self._table is not None and self._cell is not None and tag in ("td", "th", "caption"):
            self._keep(tag, " ".join("".join(self._cell).split()))
            self._cell = None

    def _keep(self, tag: str, text: str) -> None:
        assert self._table
        if tag == "caption":
            self.tables[text] = self._table
        elif "thead" in self._open:
            self._table.heads.append(text)
        else:
            self._table.rows[-1].append(text)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in self.raw:
            self.raw[self._open[-1]].append(data)
            return
        if "title" not in self._open or "svg" not in self._open:
            self.parts.append(data)
            if self._cell is not None:
                self._cell.append(f"{data} " if self._open[-1] == "span" else data)

    @property
    def text(self) -> str:
        """All visible text."""
        return " ".join(" ".join(self.parts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element with this tag."""
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def headings(self) -> list[int]:
        """The levels of the headings."""
        return [int(name[1]) for name, _ in self.tags if re.fullmatch(r"h[1-6]", name)]

    @property
    def policy(self) -> dict[str, str]:
        """The Content-Security-Policy by directive."""
        [meta] = [each for each in self.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
        parts = (part.strip().partition(" ") for part in str(meta["content"]).split(";"))
        return {name: allowed for name, _, allowed in parts}


def require_safe(html: str) -> Page:
    """Asserts that a page is well-formed, loads nothing, runs only its own script, and has no hidden characters."""
    page = Page(html)
    assert page.wrong == []
    assert page.policy == {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "style-src": _allowed(page.raw["style"]),
        "script-src": _allowed(page.raw["script"]),
        "img-src": "data:",
    }
    for name, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on") or key in ("style", "src", "srcset", "action")], (
            name
        )
        assert str(attributes.get("href", "#")).startswith("#"), attributes
    assert not {name for name, _ in page.tags} & {"iframe", "object", "embed", "link", "base", "form", "img"}
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
    ids = [str(attributes["id"]) for _, attributes in page.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert page.headings[:1] == [1]
    assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    assert all(
        table.heads and all(len(row) == len(table.heads) for row in table.rows) for table in page.tables.values()
    )
    html.encode()
    return page


def _allowed(sources: list[str]) -> str:
    [source] = sources
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
