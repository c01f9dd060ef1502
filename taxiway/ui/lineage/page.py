"""The lineage of an artifact both ways: what it was made from, and what was made from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from components.execution.provenance import Record, distinct
from components.execution.records import in_order
from components.reports.figures import counted, moment, short_digest
from components.reports.markup import Content, tag
from components.reports.model import lineage_picture
from components.reports.page import Section
from components.reports.parts import code, facts, paragraph, stack
from components.reports.tables import table
from taxiway.lineage import chain, downstream
from taxiway.lineage.lookup import DIGEST, displayed, stored_at
from taxiway.lineage.stored import StoredArtifact
from taxiway.ui import forms
from taxiway.ui.lineage.places import Places
from taxiway.ui.views import Asked, MissingError, Site, View, address

_LATEST = 30


def show(site: Site, asked: Asked) -> View:
    """The lineage of `?of=DIGEST`; without it, the artifacts that were made last."""
    target = asked.query.get("of", "").strip()
    return _of(site, target) if target else _start(site)


def _start(site: Site) -> View:
    with site.lineage() as store:
        found = list(reversed(store.artifacts()))[:_LATEST] if store else []
    places = Places.of(site)
    search = forms.asking("/lineage", _field(""), forms.button("Trace"), label="Trace an artifact")
    listed = artifacts_table(found, places) if found else paragraph("Nothing was recorded yet.")
    sections = [Section("trace", "Trace an artifact", search), Section("latest", "Made last", listed)]
    return View("Lineage", lambda: sections, lambda: {"artifacts": [_document(each) for each in found]})


def _field(value: str) -> Markup:
    return forms.field("of", "Digest", value, placeholder="sha256:85cf3b38")


def _of(site: Site, target: str) -> View:
    # Not paths: a page must not say what lies in other folders of this machine.
    if not DIGEST.fullmatch(target):
        raise MissingError(f"{target!r} is no digest", fix="give at least the first eight hex digits of one")
    with site.lineage() as store:
        if store is None:
            raise MissingError("nothing was recorded yet", fix="run a pipeline")
        behind = chain.trace(target, store=store)
        stored = stored_at(target, store)
        ahead = downstream.of_artifacts(stored, store)
    # A record that is found by its digest does not say where its content was pushed to: it may be several places.
    pushed = list(dict.fromkeys(each.pushed_to for each in stored if each.pushed_to))
    made = distinct([record for each in ahead for record in each.records[:1]])
    own = behind.records[0]
    title = f"{own['type']} {short_digest(str(own['digest']))}"
    subtitle = f"made by {own['stage']}, {moment(str(own.get('created', '')))}"
    document = {"behind": behind.records, "ahead": [_document(each) for each in ahead], "data": behind.data}
    places = Places.of(site).near(str(own["digest"]), site)
    return View(
        title,
        lambda: list(_sections(behind, made, ahead, places, pushed=pushed)),
        lambda: document,
        subtitle,
        (("Lineage", "/lineage"),),
    )


def _sections(
    behind: chain.Chain,
    made: Sequence[Record],
    ahead: Sequence[StoredArtifact],
    places: Places,
    *,
    pushed: Sequence[str],
) -> Iterator[Section]:
    own, *sources = behind.records
    needed = _needed([own, *sources])
    drawn = [own, *(each for each in needed if each != own), *(each for each in made if each not in needed)]
    words = f"Made from {counted(len(needed) - 1, 'artifact')}; {counted(len(ahead), 'artifact')} came of it."
    links = facts([*lineage_picture.origins(needed), *_where(own, places, pushed)])
    rolled = [paragraph(f"Rollback {each}", quiet=True) for each in behind.rollbacks]
    yield Section(
        "graph",
        "Graph",
        stack(links, *rolled, lineage_picture.picture(drawn, places.lineage_of, places.data_of)),
        words,
    )
    if ahead:
        yield Section("ahead", "What came of it", artifacts_table(ahead, places))
    rows = [_record(each, places) for each in in_order(behind.records)]
    columns = ["Artifact", "Digest", "Made by", "When", "Run"]
    yield Section("behind", "What it was made from", table(counted(len(rows), "artifact"), columns, rows))


def _needed(records: Sequence[Record]) -> list[Record]:
    """The first record and those that it leads back to."""
    return lineage_picture.behind(in_order(records))


def _where(own: Record, places: Places, pushed: Sequence[str]) -> Iterator[tuple[Content, Content]]:
    digest = str(own["digest"])
    if place := places.report_of(digest):
        yield "Shown", tag("a", "its page in the run", href=place)
    for place in pushed:
        yield "Pushed to", tag("a", displayed(place), href="/models")


def _record(record: Record, places: Places) -> list[Content]:
    digest = str(record["digest"])
    link = tag("a", short_digest(digest), href=places.lineage_of(record))
    return [record["type"], link, record["stage"], moment(str(record.get("created", ""))), _run_link(digest, places)]


def _run_link(digest: str, places: Places) -> Content:
    place = places.report_of(digest)
    return tag("a", places.run_of(digest), href=place) if place else None


def artifacts_table(found: Sequence[StoredArtifact], places: Places) -> Markup:
    """Artifacts with links to their lineage and their runs."""
    rows: list[list[Content]] = []
    for each in found:
        link = tag("a", short_digest(each.digest), href=address("lineage", of=each.digest)) if each.digest else None
        own = each.records[0] if each.records else {}
        pushed = code(displayed(each.pushed_to)) if each.is_pushed else None
        rows.append(
            [
                each.type_name,
                link,
                own.get("stage"),
                moment(str(own.get("created", ""))),
                pushed,
                _run_link(each.digest, places),
            ]
        )
    columns = ["Artifact", "Digest", "Made by", "When", "Pushed to", "Run"]
    return table(counted(len(rows), "artifact"), columns, rows)


def _document(each: StoredArtifact) -> dict[str, object]:
    return {"type": each.type_name, "digest": each.digest, "uri": each.uri, "pushed_to": each.pushed_to}
