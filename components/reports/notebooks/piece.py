"""What a notebook shows of an artifact: its report as a piece of HTML, whose style reaches nothing around it.

A notebook asks an object for `_repr_html_`. The piece needs no script, no widget and no network; several in one
notebook do not disturb each other.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from markupsafe import Markup

from components.contract.artifacts import Artifact
from components.reports import artifacts
from components.reports.artifacts import Renderer
from components.reports.figures import short_digest
from components.reports.guarded import made
from components.reports.markup import Content, tag
from components.reports.page import Section, source
from components.reports.parts import code, facts, heading, notice, paragraph, stack
from components.reports.ran import Ran

_SCOPE = ".taxiway-report"
_OF_A_PAGE = re.compile(r"\b(html|header|h1|nav|main|section)\b|\.(skip|subtitle|columns|filter)\b|thead button")
"""Selectors of what only a whole page has."""
_OWN = "body { padding: .25rem 1rem 1rem; border-radius: 8px; } table { margin: 0; border: 0; width: auto; }"
"""What a notebook's own style would change."""
_RULE = re.compile(r"\s*([^{}]+)\{")
_SHOWN_APART = ("digest", "provenance", "provenance_chain", "tfx_type", "tfx_version")


def piece(*content: Content) -> str:
    """A piece of HTML with its own style."""
    return str(tag("div", tag("style", style()), *content, class_=_SCOPE.removeprefix(".")))


def of_artifact(artifact: Artifact) -> str:
    """What the reports of runs show of an artifact; of one without a report, what is known of it."""
    if not artifact.path.exists():
        return piece(notice(f"{artifact.path} does not exist any more.", "warn"), _known(artifact))
    found = [_section(artifact, renderer) for kind, renderer in artifacts.renderers() if kind == artifact.type_name]
    sections = [each for each in found if each]
    return piece(*map(shown, sections)) if sections else piece(heading(artifact.type_name), _known(artifact))


def _section(artifact: Artifact, renderer: Renderer) -> Section | None:
    return made("", artifact.type_name, lambda: renderer(artifact, Ran([artifact])))


def shown(section: Section) -> Markup:
    """A section without its place in a page."""
    summary = paragraph(section.summary, quiet=True) if section.summary else None
    return stack(heading(section.title), summary, section.body)


def _known(artifact: Artifact) -> Markup:
    digest = short_digest(str(artifact.metadata.get("digest", "")))
    pairs: list[tuple[Content, Content]] = [("Path", code(artifact.path))]
    pairs += [("Digest", code(digest))] if digest else []
    more = {name: value for name, value in artifact.metadata.items() if name not in _SHOWN_APART}
    return facts([*pairs, *((name, str(value)) for name, value in more.items())])


@functools.cache
def style() -> Markup:
    """The style of reports, for what is in a piece alone."""
    return Markup("".join(_scoped(f"{source('page.css')}{_OWN}")))


def _scoped(css: str) -> Iterator[str]:
    for selectors, body in _rules(css):
        if selectors.startswith("@media screen"):
            yield f"{selectors}{{{''.join(_scoped(body))}}}"
        elif not selectors.startswith("@"):
            kept = [_in_scope(each.strip()) for each in selectors.split(",") if not _OF_A_PAGE.search(each)]
            yield f"{','.join(kept)}{{{body}}}" if kept else ""


def _in_scope(selector: str) -> str:
    return _SCOPE if selector in (":root", "body") else f"{_SCOPE} {selector}"


def _rules(css: str) -> Iterator[tuple[str, str]]:
    """The rules of a style sheet: their selectors, and what is between their braces."""
    start = 0
    while head := _RULE.match(css, start):
        depth, end = 1, head.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(css[end], 0)
            end += 1
        yield head[1].strip(), " ".join(css[head.end() : end - 1].split())
        start = end
