"""The versions of the data that runs on this machine read, by DVC's hash or the digest of the content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from components.execution.records import data_name
from taxiway.lineage.downstream import data_id
from taxiway.runs.index import Summary
from taxiway.ui.views import MissingError, Site


@dataclass
class DataVersion:
    """A version of the data.

    Attributes:
        id: DVC's hash, or the digest of the content.
        records: As runs recorded it, the latest first; the same data may have several names.
        runs: The runs that read it, the latest first.
    """

    id: str
    records: list[dict[str, Any]] = field(default_factory=list)
    runs: list[Summary] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its path, with the revision if one was given."""
        return data_name(self.latest) or self.id

    @property
    def latest(self) -> dict[str, Any]:
        """What the latest run recorded."""
        return self.records[0]

    @property
    def pushed(self) -> list[str]:
        """Where models that were trained on it were pushed to."""
        return list(dict.fromkeys(place for run in self.runs for place in run.pushed if place))


def versions(site: Site) -> list[DataVersion]:
    """The versions, the one that was read last first."""
    found: dict[str, DataVersion] = {}
    for run in site.index.runs():
        for record in run.data:
            if key := data_id(record):
                version = found.setdefault(key, DataVersion(key))
                version.records.append(record)
                version.runs += [run] if run not in version.runs[-1:] else []
    return list(found.values())


def chosen(site: Site, ids: Sequence[str]) -> list[DataVersion]:
    """The versions with these ids, in this order.

    Raises:
        MissingError: There is no such version.
    """
    known = {version.id: version for version in versions(site)}
    for each in ids:
        if each not in known:
            raise MissingError(f"no run read a version {each!r} of the data", fix="see the versions at /data")
    return [known[each] for each in ids]
