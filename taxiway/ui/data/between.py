"""What differs between versions of the data: the statistics that the latest run on each made, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from markupsafe import Markup

from components.contract.errors import UserError
from components.reports.compared import statistics
from components.reports.guarded import made
from components.reports.markup import Content, tag
from components.reports.page import Section
from components.reports.parts import code, notice
from components.reports.tables import table
from taxiway.reports import changes, compare
from taxiway.reports.run import RecordedRun
from taxiway.ui.data import found
from taxiway.ui.data.found import DataVersion
from taxiway.ui.data.versions import kind
from taxiway.ui.views import Asked, Site, View, address

_MOST = 4


def show(site: Site, asked: Asked) -> View:
    """The versions `?id=A&id=B` side by side."""
    ids = list(dict.fromkeys(asked.query.getall("id", [])))
    versions = found.chosen(site, ids)
    if not 2 <= len(versions) <= _MOST:
        raise UserError(f"{len(versions)} versions cannot be compared", fix=f"choose 2 to {_MOST} of them at /data")
    named = [(_letter(place), run) for place, each in enumerate(versions) if (run := _latest(site, each))]
    document = {"versions": [{"id": each.id, "data": each.latest} for each in versions], "runs": _ids(named)}
    title = "Two versions of the data" if len(versions) == 2 else f"{len(versions)} versions of the data"
    return View(
        title, lambda: _sections(versions, named), lambda: {**document, **_drift(named)}, "", (("Data", "/data"),)
    )


def _letter(place: int) -> str:
    return chr(ord("A") + place)


def _ids(named: Sequence[tuple[str, RecordedRun]]) -> list[str]:
    return [run.run.id for _, run in named]


def _latest(site: Site, version: DataVersion) -> RecordedRun | None:
    """The latest run on a version whose statistics are still there."""
    for run in version.runs:
        try:
            recorded = site.read(run.id)
        except UserError:
            continue
        if compare.has(recorded, statistics.TITLE):
            return recorded
    return None


def _drift(named: Sequence[tuple[str, RecordedRun]]) -> dict[str, object]:
    """What changed between the runs, as far as it is data."""
    if len(named) != 2:
        return {}
    differing = changes.between(named[0][1], named[1][1])
    return {"changes": [asdict(each) for each in differing if each.kind == "Data"]}


def _sections(versions: Sequence[DataVersion], named: Sequence[tuple[str, RecordedRun]]) -> list[Section]:
    parts = [Section("versions", "Versions", _table(versions, dict(named)))]
    compared = [each for each in compare.of_artifacts(named) if each[1] == statistics.TITLE]
    if not compared:
        words = "There are no statistics of at least two of them any more: run a pipeline on each again."
        return [*parts, Section("statistics", "Statistics", notice(words, "warn"))]
    return [*parts, *(section for each in compared if (section := made(*each)))]


def _table(versions: Sequence[DataVersion], runs: dict[str, RecordedRun]) -> Markup:
    rows: list[list[Content]] = []
    for place, each in enumerate(versions):
        run = runs.get(_letter(place))
        link = tag("a", run.run.id, href=address("runs", run.run.id)) if run else None
        name = tag("a", each.name, href=address("data", "version", id=each.id))
        rows.append([_letter(place), name, code(each.id.removeprefix("sha256:")[:12]), kind(each), link])
    return table("Versions", ["Name", "Data", "Version", "Kind", "Statistics of"], rows, hide_caption=True)
