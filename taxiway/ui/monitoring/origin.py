"""What an alarm's model was made from: links to the lineage of the version and of its training data."""

from __future__ import annotations

from collections.abc import Iterator

from components.contract.errors import TaxiwayError
from components.execution.records import data_name
from components.monitoring.alarms.alarm import Alarm
from components.monitoring.store import Store
from components.reports.figures import short_digest
from components.reports.markup import Content, tag
from components.reports.parts import code
from taxiway.ui.models.versions import known
from taxiway.ui.views import Site, address
from taxiway.versions import listing
from taxiway.versions.listing import PushedVersion


def facts(site: Site, store: Store, model: str, alarm: Alarm) -> Iterator[tuple[Content, Content]]:
    """The version that answered, its data and commit, and the training data that the window was compared with."""
    pushed = _pushed(site, model, alarm.version)
    if pushed:
        yield "Model", _lineage(pushed.digest, f"{model} version {pushed.version}")
        yield "Pushed to", code(pushed.url)
        if pushed.data:
            yield "Data", code(data_name(pushed.data))
        if pushed.commit:
            yield "Commit", code(pushed.commit[:12])
    else:
        yield "Model", f"{model} version {alarm.version}, which was not pushed from here"
    reference = _reference(store, alarm)
    if reference:
        yield "Compared with", _lineage(reference, f"training data {short_digest(reference)}")


def _lineage(digest: str, words: str) -> Content:
    return tag("a", words, href=address("lineage", of=digest)) if digest else words


def _pushed(site: Site, model: str, version: int | None) -> PushedVersion | None:
    """The version at a destination that has the model's name."""
    for place in known(site):
        if place.rstrip("/").rpartition("/")[2] == model:
            try:
                with site.lineage() as lineage:
                    versions = listing.versions_at(place, None, lineage).versions
            except TaxiwayError:
                continue
            if found := next((each for each in versions if each.version == version), None):
                return found
    return None


def _reference(store: Store, alarm: Alarm) -> str:
    """The digest of the training data that the alarm's windows were compared with."""
    where = [("window_start", ">=", alarm.since), ("window_start", "<", alarm.last)]
    rows = store.read("windows", where, ["reference"]).to_pylist() if store.open("windows") else []
    return next((str(row["reference"]) for row in reversed(rows) if row["reference"]), "")
