"""The versions at a destination: state, labels, blessing, metrics, and what they were made from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from components.contract.artifacts import TYPES, Metrics
from components.contract.errors import UserError, explained
from components.execution.provenance import Record
from components.execution.pushed_models import Destination, Version, open_destination, retired_versions, versions
from components.execution.records import data_name
from taxiway import tables
from taxiway.lineage import rollbacks
from taxiway.lineage.rollbacks import Rollback
from taxiway.tables import Table
from taxiway.versions import labels

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore

SERVED, RETIRED, INCOMPLETE = "served", "retired", "incomplete"
_DIGITS = 12
_WITH_METRICS = [name for name, kind in TYPES.items() if issubclass(kind, Metrics)]


@dataclass(frozen=True)
class PushedVersion:
    """A version, from its own files and the lineage store.

    Attributes:
        version: Its number.
        state: `served`: visible to servers; `retired`: hidden from them; `incomplete`: without its SavedModel.
        labels: The labels that point to it in the models.config.
        blessed: Whether an evaluator blessed it; None if it was not evaluated, or if unknown.
        metrics: The overall metrics of its evaluation, from the lineage store.
        pushed: When it was pushed, ISO 8601; empty if Taxiway did not push it.
        data: The data version that it was trained on; see `components.versioning.data_versions`.
        commit: The Git commit of the code that trained it.
        digest: The digest of its content.
        url: Its folder or URL.
    """

    version: int
    state: str
    labels: list[str]
    blessed: bool | None
    metrics: dict[str, float]
    pushed: str
    data: dict[str, Any] | None
    commit: str
    digest: str
    url: str


@dataclass(frozen=True)
class Listing:
    """The versions at a destination, latest first, and the rollbacks there, latest last."""

    destination: str
    versions: list[PushedVersion]
    rollbacks: list[Rollback]


def to_json(listing: Listing) -> str:
    """The listing as JSON."""
    return json.dumps(dataclasses.asdict(listing), indent=1)


def show(listing: Listing, console: Console) -> None:
    """Prints the versions, one per row, and the rollbacks."""
    columns = ("version", "state", "blessed", "pushed", "commit", "data", "metrics")
    tables.show(Table(columns, [_row(each) for each in listing.versions]), console)
    for rollback in listing.rollbacks:
        console.print(f"rollback  {rollback}", markup=False, highlight=False, soft_wrap=not console.is_terminal)


def _row(each: PushedVersion) -> list[str | Text]:
    return [
        str(each.version),
        Text(", ".join([each.state, *each.labels]), "green" if each.state == SERVED else "dim"),
        {True: "yes", False: "no", None: "-"}[each.blessed],
        each.pushed or "-",
        each.commit[:_DIGITS] or "-",
        data_name(each.data) if each.data else "-",
        ", ".join(f"{name} {value:.4g}" for name, value in sorted(each.metrics.items())) or "-",
    ]


def _described(version: Version, named: dict[str, int], store: LineageStore | None) -> PushedVersion:
    records = version.records()
    own = records[0] if records else {}
    codes = [record.get("code", {}) for record in records if record["type"] == "Model"]
    return PushedVersion(
        version=version.number,
        state=RETIRED if version.is_retired else SERVED if version.is_whole() else INCOMPLETE,
        labels=sorted(label for label, number in named.items() if number == version.number),
        # The pusher only pushes models that were blessed or not evaluated.
        blessed=True if own.get("judged") else None,
        metrics=_metrics(records, store),
        pushed=str(own.get("created", "")),
        data=next((record["data"] for record in records if record.get("data")), None),
        commit=next((str(code["commit"]) for code in codes if code.get("commit")), ""),
        digest=str(own.get("digest", "")),
        url=version.url,
    )


def _metrics(records: list[Record], store: LineageStore | None) -> dict[str, float]:
    digests = {record["digest"] for record in records if record["type"] in _WITH_METRICS}
    stored = [each for kind in _WITH_METRICS for each in store.artifacts(type_name=kind)] if store and digests else []
    return {
        name: value
        for artifact in stored
        if artifact.digest in digests
        for name, value in artifact.metadata.items()
        if isinstance(value, int | float)
    }


def _each_once(found: Iterable[Version]) -> list[Version]:
    """The versions without duplicates: if a killed rollback left one under both names, the complete copy counts."""
    known: dict[int, Version] = {}
    for version in found:
        if version.number not in known or not known[version.number].is_whole():
            known[version.number] = version
    return sorted(known.values(), key=lambda version: version.number, reverse=True)


def at(destination: Destination) -> list[Version]:
    """The versions at a destination, served or retired, latest first.

    Raises:
        UserError: There is none.
        ServiceError: The destination cannot be read.
    """
    fix = "check the URL, the permissions and the network, and run again"
    with explained(f"the versions at {destination.url} cannot be read", fix=fix):
        found = _each_once([*versions(destination), *retired_versions(destination)])
    if not found:
        raise UserError(
            f"there is no version at {destination.url}",
            fix="give the folder or URL that models are pushed to, which contains the versions",
        )
    return found


def versions_at(url: str, config: Path | None = None, store: LineageStore | None = None) -> Listing:
    """The versions and rollbacks at a destination.

    Args:
        url: A folder or an fsspec URL.
        config: A models.config; default: the one in the destination or its parent folder.
        store: The lineage store, for metrics and rollbacks.

    Raises:
        UserError: There is no version, or the models.config cannot be read.
        ServiceError: The destination cannot be read.
    """
    destination = open_destination(url)
    found: Sequence[Version] = at(destination)
    file = config or labels.find(destination)
    model = labels.load(file, destination) if file else None
    named = model.labels if model else {}
    return Listing(url, [_described(each, named, store) for each in found], rollbacks.all_of(store, url))
