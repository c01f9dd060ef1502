"""The versions of every destination, with what they were made from, who serves them, and what can be done."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from components.contract.errors import TaxiwayError
from components.execution.pushed_models import open_destination
from components.reports.figures import counted, moment, number
from components.reports.markup import Content, join, slug, tag
from components.reports.page import Section
from components.reports.parts import badge, code, fold, heading, notice, paragraph, stack, unordered
from components.reports.tables import Cell, Column, table
from taxiway.lineage.lookup import destinations, displayed, place_of
from taxiway.reports import coordinates
from taxiway.ui.compare.few import data_name
from taxiway.ui.models import served
from taxiway.ui.models.served import Served
from taxiway.ui.views import Asked, Json, Site, View, address
from taxiway.versions import labels, listing
from taxiway.versions.labels import STABLE
from taxiway.versions.listing import INCOMPLETE, SERVED, Listing, PushedVersion

_MOST_METRICS = 4


def show(site: Site, asked: Asked) -> View:
    """The page of all destinations."""
    found = [_Destination.read(place, site) for place in known(site)]
    return View(
        "Models",
        lambda: list(_sections(found)),
        lambda: {"destinations": [each.document() for each in found]},
        counted(len(found), "destination"),
    )


def known(site: Site) -> list[str]:
    """The places that models are pushed to: those of the lineage store, of the runs, and of the command line."""
    with site.lineage() as store:
        recorded = destinations(store)
    pushed = [place_of(each).rpartition("/")[0] for run in site.index.runs() for each in run.pushed if each]
    return list(dict.fromkeys([*map(place_of, site.destinations), *recorded, *pushed]))


@dataclasses.dataclass(frozen=True)
class _Destination:
    """A destination with its versions, or why they cannot be read."""

    place: str
    listing: Listing | None = None
    served: Sequence[Served] = ()
    problem: str = ""

    @classmethod
    def read(cls, place: str, site: Site) -> _Destination:
        try:
            with site.lineage() as store:
                found = listing.versions_at(place, None, store)
            return cls(place, found, served.by(site.servers, _model(place)))
        except TaxiwayError as error:
            return cls(place, problem=error.what)

    @property
    def current(self) -> int | None:
        """The version with the label that a rollback moves, else the one that servers take: the highest."""
        versions = self.listing.versions if self.listing else []
        labelled = [each.version for each in versions if STABLE in each.labels]
        return max(labelled or [each.version for each in versions if each.state == SERVED], default=None)

    def document(self) -> Json:
        """The destination as JSON."""
        said = {each.server: each.problem or each.states for each in self.served}
        found = dataclasses.asdict(self.listing) if self.listing else {"destination": self.place, "versions": []}
        return {**found, "servers": said, "problem": self.problem}


def _model(place: str) -> str:
    """The name that servers know a destination by: as a models.config says, else the name of its folder."""
    destination = open_destination(place)
    file = labels.find(destination)
    model = labels.load(file, destination) if file else None
    return model.name if model else place.rstrip("/").rpartition("/")[2]


def _sections(found: Sequence[_Destination]) -> Iterator[Section]:
    if not found:
        words = "No model was pushed yet. A pipeline does it if the evaluation blessed the model."
        yield Section("none", "No models", paragraph(words))
    for place, each in enumerate(found):
        id_ = f"{slug(Path(each.place).name)}-{place}"
        yield Section(id_, Path(each.place).name or each.place, _body(each), displayed(each.place))


def _body(each: _Destination) -> Markup:
    if each.listing is None:
        return notice(each.problem, "warn", "The versions cannot be shown.")
    silent = [notice(f"{said.server} {said.problem}.", "warn") for said in each.served if said.problem]
    return stack(*silent, _table(each), _rollbacks(each.listing))


def _table(each: _Destination) -> Markup:
    assert each.listing
    versions = each.listing.versions
    metrics = coordinates.ranked(dict.fromkeys(name for version in versions for name in version.metrics))
    columns: list[str | Column] = ["Version", "State", *(["Served by"] if each.served else []), "Change"]
    columns += [Column(name, True) for name in metrics[:_MOST_METRICS]]
    rows = [_row(version, each, metrics[:_MOST_METRICS]) for version in versions]
    caption = counted(len(versions), "version")
    return table(caption, [*columns, "Data", "Commit", "Pushed"], rows, hide_caption=True)


def _row(version: PushedVersion, each: _Destination, metrics: Sequence[str]) -> list[Cell | Content]:
    number_ = str(version.version)
    lineage = tag("a", number_, href=address("lineage", of=version.digest)) if version.digest else number_
    return [
        Cell(lineage, version.version),
        Cell(_state(version), version.state),
        *([_served_by(version, each.served)] if each.served else []),
        None if version.version == each.current else _change(version, each.place),
        *(_metric(version.metrics, name) for name in metrics),
        code(data_name(version.data)) if version.data else None,
        code(version.commit[:12]) if version.commit else None,
        Cell(moment(version.pushed) or None, version.pushed),
    ]


def _metric(metrics: Mapping[str, float], name: str) -> Cell:
    value = metrics.get(name)
    return Cell(number(value), "" if value is None else value)


def _state(version: PushedVersion) -> Markup:
    kind = "good" if version.state == SERVED else "bad" if version.state == INCOMPLETE else "plain"
    blessed = [badge("blessed", "good")] if version.blessed else []
    named = [badge(label, "info", "") for label in version.labels]
    return join([badge(version.state, kind), *blessed, *named], " ")  # type: ignore[arg-type]


def _served_by(version: PushedVersion, servers: Sequence[Served]) -> Content:
    said = [(each.server, each.states[version.version]) for each in servers if version.version in each.states]
    shown = [join([code(server), " ", _server_state(state)]) for server, state in said]
    return join(shown, ", ") if shown else None


def _server_state(state: str) -> Markup:
    return badge("serving", "good") if state == "AVAILABLE" else badge(state.lower().replace("_", " "), "plain")


def _change(version: PushedVersion, place: str) -> Content:
    if version.state == INCOMPLETE:
        return None
    to = str(version.version)
    words = f"Serve {to} of {Path(place).name}"
    return tag("a", "serve this", href=address("models", "rollback", destination=place, to=to), aria_label=words)


def _rollbacks(found: Listing) -> Content:
    if not found.rollbacks:
        return None
    lines = [str(each) for each in reversed(found.rollbacks)]
    shown = stack(heading("Rollbacks"), unordered(lines[:5]))
    return stack(shown, fold(counted(len(lines) - 5, "older rollback"), unordered(lines[5:])) if lines[5:] else None)
