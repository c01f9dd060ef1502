"""The section on the lineage of a model: what it was made from, as a graph, with data, commit and modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from components.contract.artifacts import Artifact
from components.execution.provenance import Record
from components.execution.records import data_name, in_order, siblings, sources
from components.reports import layered
from components.reports.figures import cut, short_digest
from components.reports.layered import Edge, Point
from components.reports.markup import Content, join, tag
from components.reports.model.sentences import listed
from components.reports.page import Section
from components.reports.parts import code, facts, fold, notice, stack
from components.reports.readers import records as readers
from components.reports.readers.trying import Unreadable, tried
from components.reports.tables import Column, table

_WIDTH, _HEIGHT, _DOWN = 176.0, 58.0, 92.0
_LETTERS = 24
_MOST = 60  # nodes; more make no picture that anybody can read

Href = Callable[[Record], str]
"""The address of a record's page; empty if it has none."""


def of_artifact(artifact: Artifact, *, id_: str = "lineage", title: str = "Lineage") -> Section:
    """The lineage in an artifact's own files; best of a pushed model, which has the whole chain."""
    return section(readers.chain(artifact), id_=id_, title=title)


def section(records: Sequence[Record], *, id_: str = "lineage", title: str = "Lineage") -> Section:
    """What an artifact was made from.

    Args:
        records: Its own record first, as `provenance.json` has them.
        id_: The section's anchor.
        title: Its heading.
    """
    if not records:
        words = "No record says what it was made from: it was made outside the pipelines."
        return Section(id_, title, notice(words, "warn"), "The lineage is not known.")
    found = tried("The lineage", lambda: _drawn(records))
    if isinstance(found, Unreadable):
        return Section(id_, title, notice(found.sentence, "warn"), "The lineage cannot be read.")
    summary, body = found
    return Section(id_, title, body, summary)


def _drawn(records: Sequence[Record]) -> tuple[str, Markup]:
    """What it was made from in a sentence, and in full."""
    ordered = in_order(_without_files(records))
    drawn = behind(ordered)
    is_large = len(drawn) > _MOST
    body = stack(
        facts(origins(ordered)), picture(drawn), fold("The same as a table", _table(ordered), is_open=is_large)
    )
    return _summary(ordered), body


def _without_files(records: Sequence[Record]) -> list[Record]:
    # A push lists its files, which is of no use here.
    return [{name: value for name, value in each.items() if name != "files"} for each in records]


def behind(records: Sequence[Record]) -> list[Record]:
    """The first record and those that it leads back to: without other outputs of the same calls, such as logs."""
    pending, found = [records[0]], list[Record]()
    while pending:
        record = pending.pop()
        if record not in found:
            found.append(record)
            pending += sources(record, records).values()
    return [record for record in records if record in found]


def _kind(record: Record) -> str:
    """What a record is of; the baseline of a first model is an empty folder."""
    is_empty = record["stage"] == "baseline" and "source" not in record["inputs"]
    return "no baseline" if is_empty else str(record["type"])


def _summary(records: Sequence[Record]) -> str:
    data = [_data_name(each["data"]) for each in records if each.get("data")]
    commits = list(dict.fromkeys(each.get("code", {}).get("commit", "")[:12] for each in records))
    commits = [commit for commit in commits if commit]
    of = f"from {listed(list(dict.fromkeys(data)))}" if data else "from data that is not recorded"
    by = f" by the code of commit {listed(commits)}" if commits else ""
    return f"The {records[0]['type']} was made {of}{by}."


def _data_name(data: Mapping[str, Any]) -> str:
    return data_name(data) or "data"


def origins(records: Sequence[Record]) -> Iterator[tuple[Content, Content]]:
    """The data, commits, modules and images of records, by name."""
    for data in _distinct(each.get("data") for each in records):
        words = [code(_data_name(data))]
        words += [code(f"DVC {data['dvc_hash']}")] if data.get("dvc_hash") else []
        yield "Data", join([*words, "" if data.get("versioned", True) else "not versioned"], " ")
    for found in _distinct(each.get("code") for each in records):
        if found.get("commit"):
            changed = " with uncommitted changes" if found.get("modified") else ""
            yield "Commit", join([code(str(found["commit"])[:12]), changed])
    modules = _distinct(module for each in records for module in readers.modules(each))
    for module in modules:
        yield (
            f"Code of {module.get('function', '')}",
            code(f"{module.get('name', '')} {short_digest(str(module.get('digest', '')))}"),
        )
    if images := list(dict.fromkeys(str(each["image"]) for each in records if each.get("image"))):
        yield "Images", listed(images)


def _distinct(values: Any) -> list[Mapping[str, Any]]:
    """Those that differ in what is shown of them."""
    found: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for value in filter(None, values):
        shown = ("path", "revision", "dvc_hash") if "path" in value else ("commit", "modified", "function", "digest")
        found.setdefault(tuple(str(value.get(key)) for key in shown), value)
    return list(found.values())


def picture(records: Sequence[Record], href: Href | None = None, data_href: Href | None = None) -> Markup:
    """Records with arrows from sources to what was made of them, the first one marked; of too many, a sentence.

    Args:
        records: The records.
        href: Gives a record's page.
        data_href: Gives the page of a data version, as records have it.
    """
    if len(records) > _MOST:
        return notice(f"{len(records)} artifacts are too many to draw.")
    names = {id(record): str(index) for index, record in enumerate(records)}
    nodes = {names[id(record)]: record for record in records}
    edges = [
        (names[id(source)], name) for name, record in nodes.items() for source in sources(record, records).values()
    ]
    data = {f"data {name}": record["data"] for name, record in nodes.items() if record.get("data")}
    edges += [(name, name.removeprefix("data ")) for name in data]
    layout = layered.placed([*data, *reversed(nodes)], list(dict.fromkeys(edges)), width=_WIDTH, height=_DOWN)
    boxes = [
        _linked(_data_box(layout.centers[name], each), _data_name(each), data_href, each) for name, each in data.items()
    ]
    for name, each in nodes.items():
        box = _box(layout.centers[name], each, is_target=each is records[0])
        boxes.append(_linked(box, f"{_kind(each)} {short_digest(str(each['digest']))}", href, each))
    width, height = layout.width + 4, len(layout.rows) * _DOWN
    return tag(
        "div",
        tag(
            "svg",
            tag("title", f"Lineage: {_words(nodes, edges, data)}"),
            *map(_edge, layout.routes.values()),
            *boxes,
            viewBox=f"-2 0 {width:g} {height:g}",
            width=width,
            height=height,
            role="group" if href else "img",
            class_="graph",
        ),
        class_="scroll bare",
        tabindex="0",
        role="region",
        aria_label="Lineage as a graph",
    )


def _linked(box: Markup, label: str, href: Href | None, shown: Mapping[str, Any]) -> Markup:
    place = href(dict(shown)) if href else ""
    return tag("a", box, href=place, aria_label=label) if place else box


def _words(nodes: Mapping[str, Record], edges: Sequence[Edge], data: Mapping[str, Any]) -> str:
    """The graph in words, for who does not see it."""
    label = {name: _kind(record) for name, record in nodes.items()} | dict.fromkeys(data, "data")
    made = {name: [label[source] for source, target in edges if target == name] for name in nodes}
    return "; ".join(f"{label[name]} from {listed(before)}" for name, before in made.items() if before)


def _edge(route: Sequence[Point]) -> Markup:
    return layered.arrow([(x, y - _HEIGHT / 2, y + _HEIGHT / 2) for x, y in route])


def _box(center: Point, record: Record, *, is_target: bool) -> Markup:
    digest = short_digest(str(record["digest"]))
    lines = [_kind(record), digest, f"by {record['stage']}"]
    title = f"{_kind(record)} {record['digest']}, made by {record['stage']}, {record.get('created', '')}"
    return _boxed(center, lines, title, "task info" if is_target else "task plain")


def _data_box(center: Point, data: Mapping[str, Any]) -> Markup:
    version = str(data.get("dvc_hash") or data.get("content") or "")
    lines = [_data_name(data), short_digest(version), "data" if data.get("versioned", True) else "data, not versioned"]
    return _boxed(center, lines, f"data {_data_name(data)} {version}", "task good")


def _boxed(center: Point, lines: Sequence[str], title: str, kind: str) -> Markup:
    x, y = center[0] - _WIDTH / 2, center[1] - _HEIGHT / 2
    shape = tag("rect", x=x, y=y, width=_WIDTH, height=_HEIGHT, rx=8, class_="node")
    texts = [
        tag(
            "text",
            cut(line, _LETTERS),
            x=x + 12,
            y=y + 17 * (number + 1) + 1,
            class_="ink strong" if number == 0 else "state",
        )
        for number, line in enumerate(lines)
    ]
    return tag("g", tag("title", title), shape, *texts, class_=kind)


def _table(records: Sequence[Record]) -> Markup:
    columns = [
        Column("artifact"),
        Column("digest"),
        Column("made by"),
        Column("from"),
        Column("other outputs"),
        Column("made at"),
    ]
    rows: list[list[Content]] = []
    for record in records:
        inputs = [f"{port} {short_digest(str(digest))}" for port, digest in record["inputs"].items()]
        beside = [str(each["output"]) for each in siblings(record, records)]
        digest = code(short_digest(str(record["digest"])))
        rows.append(
            [
                _kind(record),
                digest,
                record["stage"],
                listed(inputs) or None,
                listed(beside) or None,
                record.get("created"),
            ]
        )
    return table("Lineage", columns, rows, hide_caption=True)
