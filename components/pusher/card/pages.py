"""A card to read: a section of a report, a page of HTML, and Markdown. All show the card's JSON and nothing else."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.reports.figures import number
from components.reports.markup import Content, visible
from components.reports.page import Section, render
from components.reports.parts import code, facts, heading, paragraph, stack, unordered
from components.reports.tables import Cell, Column, table

Json = Mapping[str, Any]

_LISTS = {
    "users": "Who it is for",
    "use_cases": "What it is for",
    "limitations": "Limits",
    "tradeoffs": "Trade-offs",
    "ethical_considerations": "Risks",
}
_ALL = "all rows"
_DIGEST = re.compile(r"(?:sha256:)?\b([0-9a-f]{12})[0-9a-f]{20,}\b")


def section(card: Json, id_: str = "model-card", title: str = "Model card") -> Section:
    """The card as a section."""
    details = card["model_details"]
    body = stack(
        facts(_facts(card)),
        *(paragraph(_short(text)) for text in _documentation(card)),
        *(stack(heading(name), unordered(texts)) for name, texts in _considerations(card)),
        _metrics(card),
    )
    return Section(id_, title, body, details.get("overview", ""))


def page(card: Json) -> str:
    """The card as a page."""
    version = card["model_details"]["version"]
    subtitle = f"version {version['name']} of {version['date']}"
    return render(card["model_details"]["name"], [section(card)], subtitle=subtitle)


def markdown(card: Json) -> str:
    """The card as Markdown."""
    details = card["model_details"]
    lines = [f"# {_escaped(details['name'])}", _escaped(details.get("overview", ""))]
    lines.append("\n".join(f"- **{name}**: {_escaped(value)}" for name, value in _said(card)))
    lines += map(_escaped, _documentation(card))
    for name, texts in _considerations(card):
        lines += [f"## {name}", "\n".join(f"- {_escaped(text)}" for text in texts)]
    if rows := _rows(card):
        names = _names(card)
        cells = [["slice", *names], ["---"] * (len(names) + 1)]
        cells += [[where, *(number(found[name]) if name in found else "" for name in names)] for where, found in rows]
        lines += ["## Metrics", "\n".join(f"| {' | '.join(map(_escaped, row))} |" for row in cells)]
    return "\n\n".join(filter(None, lines)) + "\n"


def _escaped(text: str) -> str:
    """Text that cannot be taken for Markdown or HTML, on one line."""
    found = re.sub(r"([\\`*_\[\]|#~])", r"\\\1", html.escape(visible(str(text)), quote=False))
    return "---" if text == "---" else " ".join(found.split())


def _said(card: Json) -> Iterator[tuple[str, str]]:
    details = card["model_details"]
    yield "Version", details["version"]["name"]
    yield "Date", details["version"]["date"]
    for each in details.get("owners", []):
        yield "Owner", " · ".join(filter(None, [each["name"], each.get("contact")]))
    for each in details.get("licenses", []):
        yield "Licence", each.get("identifier") or each.get("custom_text", "")
    for each in card.get("model_parameters", {}).get("data", []):
        yield "Data", f"{each['name']}: {each['description']}"
        if sensitive := each.get("sensitive", {}).get("sensitive_data"):
            yield "Sensitive data", ", ".join(sensitive)
    for each in details.get("references", []):
        yield "Reference", each["reference"]
    for each in details.get("citations", []):
        yield "Citation", each["citation"]


def _facts(card: Json) -> Iterator[tuple[Content, Content]]:
    for name, value in _said(card):
        yield name, code(_short(value)) if name in ("Version", "Data") else value


def _short(text: str) -> str:
    """A text with short digests; the files beside the page have them whole."""
    return _DIGEST.sub(r"\1", text)


def _documentation(card: Json) -> list[str]:
    return [text for text in card["model_details"].get("documentation", "").split("\n\n") if text]


def _considerations(card: Json) -> Iterator[tuple[str, list[str]]]:
    found = card.get("considerations", {})
    for key, title in _LISTS.items():
        if key in found:
            yield title, [_consideration(each) for each in found[key]]


def _consideration(each: Json) -> str:
    if "description" in each:
        return str(each["description"])
    return f"{each['name']}: {each['mitigation_strategy']}"


def _names(card: Json) -> list[str]:
    metrics = card.get("quantitative_analysis", {}).get("performance_metrics", [])
    return list(dict.fromkeys(each["type"] for each in metrics))


def _rows(card: Json) -> list[tuple[str, dict[str, float]]]:
    """The metrics of each slice, in the card's order."""
    found: dict[str, dict[str, float]] = {}
    for each in card.get("quantitative_analysis", {}).get("performance_metrics", []):
        found.setdefault(each.get("slice", _ALL), {})[each["type"]] = each["value"]
    return list(found.items())


def _metrics(card: Json) -> Content:
    names, rows = _names(card), _rows(card)
    if not rows:
        return None
    cells: list[Sequence[Cell | Content]] = [[where, *(found.get(name) for name in names)] for where, found in rows]
    return table("Metrics by slice", [Column("slice"), *(Column(name, is_number=True) for name in names)], cells)
