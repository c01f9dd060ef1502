"""The list of runs: filtered, sorted and by pages, as its address says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from markupsafe import Markup
from multidict import MultiMapping

from components.contract.commands import typed
from components.reports.figures import NOTHING, counted, duration, short_digest
from components.reports.markup import Content, join, tag
from components.reports.page import Section
from components.reports.parts import badge, code, fold, paragraph, stack
from components.reports.tables import Cell, Column, table
from taxiway.reports.states import badge_of, word_of
from taxiway.runs.index import Summary
from taxiway.ui import forms
from taxiway.ui.runs import query
from taxiway.ui.runs.query import METRIC, Query
from taxiway.ui.views import Asked, Json, Live, Site, View, address

_ROWS = 100
_STATES = ("RUNNING", "SUCCEEDED", "FAILED", "CANCELED", "KILLED")
_SIMPLE = ("q", "pipeline", "state")


def show(site: Site, asked: Asked) -> View:
    """The runs on this machine that are asked for."""
    wanted = query.parsed(asked.query)
    runs = site.index.runs()
    found = wanted.chosen(runs)
    total = counted(len(runs), "run")
    return View(
        "Runs",
        lambda: [_section(found, runs, wanted, asked=asked)],
        lambda: {"total": len(runs), "found": len(found), "runs": [to_json(run) for run in _page(found, wanted)]},
        subtitle=total if len(found) == len(runs) else f"{len(found)} of {total}",
        live=Live("/runs/state", _mark(runs)),
    )


def state(site: Site, asked: Asked) -> Json:
    """Changes when the list does."""
    return {"state": _mark(site.index.runs())}


def _mark(runs: Sequence[Summary]) -> str:
    said = ((run.id, run.state, run.seconds, len(run.tasks), run.running) for run in runs)
    return hashlib.sha256(repr(list(said)).encode()).hexdigest()[:16]


def to_json(run: Summary) -> Json:
    """A run as JSON."""
    return {**asdict(run), "started": run.started.isoformat(), "page": address("runs", run.id)}


def _page(found: Sequence[Summary], wanted: Query) -> Sequence[Summary]:
    return found[(wanted.page - 1) * _ROWS : wanted.page * _ROWS]


def _section(found: Sequence[Summary], runs: Sequence[Summary], wanted: Query, *, asked: Asked) -> Section:
    if not runs:
        first = paragraph("There are no runs yet. Start one: ", code(typed("taxiway run PIPELINE")))
        return Section("runs", "", first)
    listed = _choices(_page(found, wanted), found, wanted, asked=asked) if found else paragraph("No run is like that.")
    return Section("runs", "", stack(_form(runs, asked), listed, _pages(len(found), wanted, asked)))


def _form(runs: Sequence[Summary], asked: Asked) -> Markup:
    given = asked.query
    pipelines = [("", "all"), *((name, name) for name in sorted({run.pipeline for run in runs}))]
    states = [("", "all"), *((state, word_of(state)) for state in _STATES)]
    more = [
        forms.field("metric", "Metrics", " and ".join(given.getall("metric", [])), placeholder="auc > 0.9"),
        forms.field("param", "Parameters", " and ".join(given.getall("param", [])), placeholder="train_steps = 1000"),
        forms.field("data", "Data version", given.get("data", ""), placeholder="path, revision or hash"),
        forms.field("commit", "Commit", given.get("commit", ""), placeholder="its first digits"),
        forms.field("show", "Columns", ", ".join(given.getall("show", [])), placeholder="names of metrics"),
    ]
    is_used = any(given.get(name) for name in given if name not in (*_SIMPLE, "sort", "page"))
    sort = [tag("input", type="hidden", name_="sort", value=given["sort"])] if given.get("sort") else []
    return forms.asking(
        "/runs",
        tag(
            "div",
            forms.field("q", "Search", given.get("q", ""), placeholder="id or parameter", type_="search"),
            forms.choice("pipeline", "Pipeline", pipelines, given.get("pipeline", "")),
            forms.choice("state", "State", states, given.get("state", "")),
            *sort,
            forms.button("Filter"),
            tag("a", "Show all", href="/runs", class_="button plain") if given else None,
            class_="fields",
        ),
        fold("By metric, parameter, data or commit", tag("div", *more, class_="fields"), is_open=is_used),
        label="Filter runs",
    )


def _choices(rows: Sequence[Summary], found: Sequence[Summary], wanted: Query, *, asked: Asked) -> Markup:
    """The runs, of which some can be ticked and compared."""
    compare = tag("p", forms.button("Compare the ticked runs"), class_="compare") if len(rows) > 1 else None
    shown = _table(rows, found, wanted, asked=asked)
    return tag("form", shown, compare, method="get", action="/compare", aria_label="Compare runs")


def _table(rows: Sequence[Summary], found: Sequence[Summary], wanted: Query, *, asked: Asked) -> Markup:
    metrics = wanted.columns(found)
    columns: list[str | Column] = [
        _sorted_by("Run", "started", wanted, asked),
        "State",
        _sorted_by("Time", "seconds", wanted, asked, is_number=True),
        "Tasks",
        *(_sorted_by(name, f"{METRIC}{name}", wanted, asked, is_number=True) for name in metrics),
        "Model",
        "Data",
        "Commit",
    ]
    shown = [[*_cells(run), *(run.metrics.get(name) for name in metrics), *_ends(run)] for run in rows]
    return table("Runs", columns, shown, is_sortable=False, is_searchable=False, hide_caption=True)


def _sorted_by(title: str, name: str, wanted: Query, asked: Asked, *, is_number: bool = False) -> Column:
    """A column whose title sorts by it; again, the other way around."""
    is_falling = wanted.sort == f"-{name}"
    sign = {f"-{name}": " ↓", name: " ↑"}.get(wanted.sort, "")
    place = _with(asked.query, sort=name if is_falling else f"-{name}")
    return Column(tag("a", title, sign, href=place), is_number=is_number)


def _with(given: MultiMapping[str], **changed: str) -> str:
    """The address of the list with other fields, from the first page."""
    kept = {name: given.getall(name) for name in given if name not in (*changed, "page")}
    return address("runs", **{name: [value for value in values if value] for name, values in kept.items()}, **changed)


def _cells(run: Summary) -> list[Cell | Content]:
    began = tag("span", f"{run.started:%Y-%m-%d %H:%M:%S}", class_="quiet")
    link = tag("a", run.pipeline, " ", code(run.id.rpartition("-")[2]), href=address("runs", run.id))
    tick = tag("input", type="checkbox", name_="run", value=run.id, aria_label=f"Compare {run.id}")
    name = tag("div", tick, tag("div", link, tag("br"), began), class_="ticked")
    time = duration(run.seconds) if run.seconds else tag("time", "", data_since=run.started.isoformat())
    return [name, badge_of(run.state), Cell(time if run.seconds or run.state == "RUNNING" else NOTHING), _tasks(run)]


def _tasks(run: Summary) -> Content:
    if run.running:
        return join([", ".join(run.running), "…"])
    counts = [tag("span", f"{count} {word_of(state)}") for state, count in run.tasks.items()]
    return tag("div", *counts, class_="lines") if counts else NOTHING


def _ends(run: Summary) -> Iterator[Content]:
    verdict = {None: [], True: [badge("blessed", "good")], False: [badge("not blessed", "bad")]}[run.blessed]
    versions = [tag("div", place.rstrip("/").rpartition("/")[2]) for place in run.pushed]
    yield join([*verdict, *versions]) or NOTHING
    yield join([code(short_digest(_version(data))) for data in run.data], " ") or NOTHING
    yield join([code(commit[:8] + commit[40:]) for commit in run.commits], " ") or NOTHING


def _version(data: Json) -> str:
    return str(data.get("dvc_hash") or data.get("content") or NOTHING)


def _pages(count: int, wanted: Query, asked: Asked) -> Markup | None:
    last = max(1, -(-count // _ROWS))
    if last == 1:
        return None
    links = []
    for number, name in ((wanted.page - 1, "← Earlier page"), (wanted.page + 1, "Next page →")):
        place = f"{_with(asked.query)}{'&' if '?' in _with(asked.query) else '?'}page={number}"
        links += [tag("a", name, href=place)] if 1 <= number <= last else []
    here = f"Page {wanted.page} of {last}"
    return tag(
        "nav",
        join([*links[:1], here, *links[1:]] if wanted.page > 1 else [here, *links], " · "),
        class_="pages",
        aria_label="Pages",
    )
