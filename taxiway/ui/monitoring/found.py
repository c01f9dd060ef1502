"""The watched models of a site, and what an address says of the part that is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from multidict import MultiMapping

from components.contract.commands import typed
from components.contract.errors import UserError
from components.contract.times import zoned
from components.monitoring.store import INFERENCE, Store
from components.reports.monitoring.links import Links
from components.reports.monitoring.scope import Scope
from components.reports.monitoring.watched import Watched
from components.reports.monitoring.wording import times
from taxiway.ui.views import Asked, MissingError, Site, address

CRUMBS = (("Monitoring", "/monitoring"),)


def models(site: Site) -> list[str]:
    """The models with tables, by name.

    Raises:
        UserError: The folder with the tables cannot be read.
    """
    import fsspec

    try:
        system, root = fsspec.core.url_to_fs(site.tables)
        names = [path.rstrip("/").rpartition("/")[2] for path in system.ls(root, detail=False)]
        return sorted(name for name in names if any(system.exists(f"{root}/{name}/{each}") for each in _TABLES))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"the tables at {site.tables} cannot be read: {error}", fix="see --tables") from error


_TABLES = ("windows", INFERENCE)
_DIGITS = 18


def store(site: Site, model: str) -> Store:
    """The tables of a model.

    Raises:
        MissingError: There are none: an address must not lead to other folders.
    """
    if model not in models(site):
        raise MissingError(
            f"no model {model!r} is watched",
            fix=f"see the models at /monitoring, or begin with: "
            f"{typed('taxiway serve', 'FOLDER', '--inference-tables', site.tables)}",
        )
    return Store(f"{site.tables.rstrip('/')}/{model}")


@dataclass(frozen=True)
class Query:
    """What an address says: the filter's fields as text, and the scope that they mean."""

    fields: Mapping[str, str]
    scope: Scope

    @classmethod
    def of(cls, query: MultiMapping[str]) -> Query:
        """Reads the fields.

        Raises:
            UserError: A field means nothing.
        """
        fields = {name: query.get(name, "").strip() for name in ("version", "slice", "since", "until")}
        version = _number(fields["version"])
        return cls(fields, Scope(version, fields["slice"], _time(fields["since"]), _time(fields["until"])))

    def links(self, model: str, *, of_column: str = "") -> Links:
        """Addresses of pages that show the same part; of a column's page, windows are on the same page."""
        kept = {name: self.fields[name] for name in ("version", "slice")}

        def window(start: datetime) -> str:
            if of_column:
                fields = {**self.fields, "window": times.iso(start)}
                return f"{address('monitoring', model, 'columns', of_column, **fields)}#window"
            return address("monitoring", model, "windows", times.iso(start), **kept)

        def during(since: datetime, until: datetime) -> str:
            place = ("monitoring", model, *(("columns", of_column) if of_column else ()))
            return address(*place, **{**self.fields, "since": times.iso(since), "until": times.iso(until)})

        return Links(
            lambda column: address("monitoring", model, "columns", column, **self.fields),
            window,
            lambda alarm: address("monitoring", model, "alarms", alarm),
            during,
        )


def watched(site: Site, asked: Asked, *, of_column: str = "") -> tuple[Watched, Query]:
    """The model of an address, and the part of it that is shown."""
    model, query = asked.path["model"], Query.of(asked.query)
    return Watched.of(store(site, model), model, query.scope, query.links(model, of_column=of_column)), query


def _number(text: str) -> int | None:
    if text and not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise UserError(f"{text!r} is no version", fix="leave it out for all versions")
    return int(text) if text else None


def _time(text: str) -> datetime | None:
    return moment(text) if text else None


def moment(text: str) -> datetime:
    """A time in an address; without a zone, it is UTC.

    Raises:
        UserError: It is no time.
    """
    try:
        return zoned(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{text!r} is no time", fix="write it as 2026-03-09T14:00Z") from error
