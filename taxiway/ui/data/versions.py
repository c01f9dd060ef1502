"""The versions of the data, and one of them: the runs that read it, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from components.reports.figures import counted, when
from components.reports.markup import Content, join, tag
from components.reports.page import Section
from components.reports.parts import badge, code, facts, paragraph, stack
from components.reports.tables import Cell, Column, table
from taxiway.lineage import downstream
from taxiway.lineage.lookup import displayed
from taxiway.lineage.stored import StoredArtifact
from taxiway.reports import coordinates
from taxiway.reports.states import badge_of
from taxiway.runs.index import Summary
from taxiway.ui import forms
from taxiway.ui.compare.many import cell
from taxiway.ui.data import found
from taxiway.ui.data.found import DataVersion
from taxiway.ui.lineage.page import artifacts_table
from taxiway.ui.lineage.places import Places
from taxiway.ui.views import Asked, Json, Site, View, address

_MOST_METRICS = 3


def show(site: Site, asked: Asked) -> View:
    """The page of all versions."""
    known = found.versions(site)
    document = {"versions": [_document(each) for each in known]}
    return View("Data", lambda: [_all(known)], lambda: document, counted(len(known), "version"))


def _document(version: DataVersion) -> Json:
    runs = [run.id for run in version.runs]
    return {"id": version.id, "data": version.latest, "runs": runs, "pushed": version.pushed}


def _all(known: Sequence[DataVersion]) -> Section:
    if not known:
        words = "No run has read any data yet that it could tell the version of."
        return Section("versions", "No data", paragraph(words))
    columns: list[str | Column] = ["Data", "Version", "Kind", Column("Runs", True), "Read last", Column("Models", True)]
    rows = [_row(each, is_choice=len(known) > 1) for each in known]
    listed = table("Versions", columns, rows, hide_caption=True)
    if len(known) < 2:
        return Section("versions", "Versions", listed)
    button = forms.button("Compare the chosen versions")
    return Section("versions", "Versions", forms.asking("/data/compare", listed, button, label="Versions to compare"))


def _row(each: DataVersion, *, is_choice: bool) -> list[Cell | Content]:
    label = f"Choose {each.name} {each.id}"
    box = tag("input", type="checkbox", name_="id", value=each.id, aria_label=label) if is_choice else None
    link = tag("a", each.name, href=address("data", "version", id=each.id))
    last = max(run.started for run in each.runs)
    models = len(each.pushed)
    return [
        Cell(join([box, link], " "), each.name),
        code(each.id.removeprefix("sha256:")[:12]),
        kind(each),
        len(each.runs),
        when(last),
        models,
    ]


def kind(version: DataVersion) -> Markup:
    """Whether somebody can get the data again."""
    record = version.latest
    if record.get("dvc_hash"):
        return badge("DVC", "good") if record.get("versioned", True) else badge("differs from DVC", "warn")
    return badge("Git", "good") if record.get("versioned") else badge("no version", "warn")


def one(site: Site, asked: Asked) -> View:
    """The page of the version `?id=HASH`."""
    [version] = found.chosen(site, [asked.query.get("id", "")])
    with site.lineage() as store:
        ahead = downstream.of_data(version.id, store) if store else []
    document = {**_document(version), "ahead": [{"type": each.type_name, "digest": each.digest} for each in ahead]}
    crumbs = (("Data", "/data"),)
    return View(version.name, lambda: list(_sections(site, version, ahead)), lambda: document, version.id, crumbs)


def _sections(site: Site, version: DataVersion, ahead: Sequence[StoredArtifact]) -> Iterator[Section]:
    yield Section("version", "Version", stack(facts(_facts(version))))
    yield Section("runs", "Runs that read it", _runs(version.runs))
    models = [each for each in ahead if each.is_pushed]
    if models:
        yield Section("models", "Models that were pushed", artifacts_table(models, Places.of(site)))
    if rest := [each for each in ahead if not each.is_pushed]:
        yield Section("ahead", "All that came of it", artifacts_table(rest, Places.of(site)))


def _facts(version: DataVersion) -> Iterator[tuple[Content, Content]]:
    record = version.latest
    yield "Path", code(displayed(str(record.get("path", ""))))
    names = {
        "revision": "Revision",
        "dvc_hash": "DVC",
        "dvc_file": "Tracked in",
        "commit": "Commit",
        "repo": "Repository",
    }
    yield from ((name, code(record[key])) for key, name in names.items() if record.get(key))
    if record.get("content"):
        yield "Content", code(str(record["content"]))
    yield "Kind", kind(version)


def _runs(runs: Sequence[Summary]) -> Markup:
    metrics = coordinates.ranked(dict.fromkeys(name for run in runs for name in run.metrics))[:_MOST_METRICS]
    columns: list[str | Column] = [
        "Run",
        "State",
        Column("Started", True),
        *(Column(name, True) for name in metrics),
        "Pushed",
    ]
    rows = [
        [
            tag("a", run.id, href=address("runs", run.id)),
            badge_of(run.state),
            when(run.started),
            *(cell(run.metrics.get(name)) for name in metrics),
            join((code(displayed(place)) for place in run.pushed), " ") if run.pushed else None,
        ]
        for run in runs
    ]
    return table(counted(len(runs), "run"), columns, rows)
