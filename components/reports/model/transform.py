"""The section on a transform: the features before and after, the vocabularies, and how the data was analyzed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from components.contract.artifacts import Artifact
from components.reports.figures import counted, number, percent, short_digest
from components.reports.markup import Content
from components.reports.model.sentences import listed
from components.reports.page import Section
from components.reports.parts import code, facts, notice, paragraph, stack
from components.reports.readers import records
from components.reports.readers.trying import Unreadable, tried
from components.reports.tables import Cell, Column, table

if TYPE_CHECKING:
    from components.reports.readers import transform_graphs
    from components.reports.readers.transform_graphs import Feature, Vocabulary

_WAYS = {"direct": "directly, without Beam", "beam": "on Beam"}
_FIGURES = ("missing", "zeros", "mean", "deviation", "minimum", "maximum", "distinct")
_SHARES = ("missing", "zeros")


def section(transform_graph: Artifact, *, id_: str = "transform", title: str = "Transform") -> Section:
    """What a transform makes of the features.

    Args:
        transform_graph: A TransformGraph.
        id_: The section's anchor.
        title: Its heading.
    """
    found = tried("The features", lambda: _read(transform_graph))
    if isinstance(found, Unreadable):
        return Section(id_, title, notice(found.sentence, "warn"), "What the transform makes cannot be read.")
    body = stack(
        facts(_facts(transform_graph)),
        _features("Features before", found.before),
        _features("Features after", found.after),
        _unused(found.before),
        _vocabularies(found.vocabularies),
    )
    return Section(id_, title, body, _summary(transform_graph, found))


def _read(transform_graph: Artifact) -> transform_graphs.TransformGraph:
    from components.reports.readers import transform_graphs

    return transform_graphs.read(transform_graph.path)


def _summary(transform_graph: Artifact, found: transform_graphs.TransformGraph) -> str:
    made = f"{counted(len(found.before), 'feature')} became {len(found.after)}"
    words = f", with {_several_vocabularies(len(found.vocabularies))}" if found.vocabularies else ""
    way = _WAYS.get(str(transform_graph.metadata.get("analysis", "")))
    return f"{made}{words}.{f' The data was analyzed {way}.' if way else ''}"


def _several_vocabularies(count: int) -> str:
    return "one vocabulary" if count == 1 else f"{count} vocabularies"


def _facts(transform_graph: Artifact) -> list[tuple[Content, Content]]:
    found: list[tuple[Content, Content]] = []
    if way := _WAYS.get(str(transform_graph.metadata.get("analysis", ""))):
        found.append(("Analyzers ran", way))
    record = records.own(transform_graph)
    parameters = record.get("parameters", {})
    if splits := parameters.get("analyze_splits"):
        found.append(("Analyzed", f"the rows of {listed(splits)}"))
    for module in records.modules(record):
        found.append(
            (
                str(module.get("function", "module")),
                code(f"{module.get('name', '')} {short_digest(str(module.get('digest', '')))}"),
            )
        )
    return found


def _features(title: str, features: Sequence[Feature]) -> Markup:
    figures = [name for name in _FIGURES if any(name in each.statistics for each in features)]
    has_domains = any(each.domain for each in features)
    columns = [Column("feature"), Column("type"), *([Column("domain")] if has_domains else [])]
    columns += [Column(name, is_number=True) for name in figures]
    rows = [
        [
            each.name,
            each.type,
            *([each.domain or None] if has_domains else []),
            *(_figure(each, name) for name in figures),
        ]
        for each in features
    ]
    return table(title, columns, rows)


def _unused(before: Sequence[Feature]) -> Content:
    """The features without statistics, where others have them: only those that are used are counted."""
    names = [each.name for each in before if not each.statistics]
    if not names or len(names) == len(before):
        return None
    return paragraph(f"Not used by the preprocessing_fn, and so not counted: {listed(names)}.", quiet=True)


def _figure(each: Feature, name: str) -> Content:
    value = each.statistics.get(name)
    if value is None:
        return None
    return Cell(percent(value) if name in _SHARES else number(value), value)


def _vocabularies(found: Sequence[Vocabulary]) -> Content:
    if not found:
        return None
    columns = [
        Column("vocabulary"),
        Column("terms", is_number=True),
        Column("made from"),
        Column("covers", is_number=True),
        Column("begins with"),
    ]
    rows = [
        [each.name, each.size, each.feature or None, _coverage(each.coverage), ", ".join(each.first)] for each in found
    ]
    hint = "How many of that feature’s values are in the vocabulary, of those that were analyzed"
    columns[3] = Column("covers", is_number=True, hint=hint)
    return table("Vocabularies", columns, rows)


def _coverage(share: float | None) -> Content:
    return None if share is None else Cell(percent(share), share)
