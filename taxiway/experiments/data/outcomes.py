"""The outcomes of an experiment as tables of its database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import duckdb

from components.contract.errors import DataError, UserError
from components.monitoring.labels.columns import LABEL
from components.monitoring.labels.join import labels_of
from components.monitoring.labels.sources import load, named
from components.monitoring.store import Store
from taxiway.experiments.settings import LABELS, LEFT_OUT, Experiment, Outcome

_NUMBERS = ("INT", "DOUBLE", "FLOAT", "DECIMAL", "BOOLEAN")


@dataclass(frozen=True)
class Source:
    """An outcome's table in the database.

    Attributes:
        outcome: Its settings.
        table: The table: `unit_key` or `request_id` and `row`, `happened`, and the columns.
        columns: The columns with values.
    """

    outcome: Outcome
    table: str
    columns: tuple[str, ...]

    @property
    def is_by_key(self) -> bool:
        """Whether it is joined by the units' key."""
        return bool(self.outcome.key)


def loaded(
    connection: duckdb.DuckDBPyConnection, experiment: Experiment, store: Store, until: datetime
) -> list[Source]:
    """Copies every source into the database: numbers, ids and times only.

    Raises:
        UserError: A source or a column is missing.
        DataError: A source cannot be read.
    """
    return [
        _loaded(connection, each, index, (experiment, store, until)) for index, each in enumerate(experiment.outcomes)
    ]


def _loaded(
    connection: duckdb.DuckDBPyConnection, outcome: Outcome, index: int, given: tuple[Experiment, Store, datetime]
) -> Source:
    experiment, store, until = given
    connection.execute("DROP VIEW IF EXISTS source")
    if outcome.source == LABELS:
        start = experiment.start - experiment.before
        labels = labels_of(store, start, until, max_age=experiment.window or timedelta(days=30))
        outcome = replace(outcome, id="request_id", time=_time_of(labels.column_names), missing=LEFT_OUT)
        names = load(connection, labels, [])
    else:
        names = load(connection, outcome.source, [outcome.id or outcome.key])
    if missing := [each for each in (outcome.id, outcome.key, outcome.time) if each and each not in names]:
        raise UserError(
            f"outcome {outcome.name!r} has no column {missing[0]!r}", fix=f"its columns are {', '.join(names)}"
        )
    return _copied(connection, outcome, f"outcome{index}")


def _time_of(names: list[str]) -> str:
    return "label_time" if "label_time" in names else ""


def _copied(connection: duckdb.DuckDBPyConnection, outcome: Outcome, table: str) -> Source:
    kinds = {name: kind for name, kind, *_ in connection.execute("DESCRIBE source").fetchall()}
    own = {outcome.id, outcome.key, outcome.time, "row"}
    values = [name for name, kind in kinds.items() if name not in own and _is_number(kind)]
    key = named(outcome.key or outcome.id)
    row = "coalesce(row::INTEGER, 0)" if "row" in kinds and outcome.id else "0"
    parts = [f"hash({key}::VARCHAR) AS joined_by", f"{row} AS example", f"{_time(outcome, kinds)} AS happened"]
    parts += [f"{named(name)}::DOUBLE AS {named(name)}" for name in values]
    try:
        connection.execute(f"CREATE TABLE {table} AS SELECT {', '.join(parts)} FROM source WHERE {key} IS NOT NULL")
    except duckdb.Error as error:
        raise DataError(
            f"outcome {outcome.name!r} cannot be read: {str(error).strip().splitlines()[0][:300]}",
            fix="times are timestamps, ISO 8601 strings or Unix seconds, and `row` is a number",
        ) from error
    return Source(outcome, table, tuple(values))


def _is_number(kind: str) -> bool:
    return "[" not in kind and any(word in kind for word in _NUMBERS)


def _time(outcome: Outcome, kinds: dict[str, str]) -> str:
    if not outcome.time:
        return "NULL::TIMESTAMPTZ"
    is_number = _is_number(kinds[outcome.time])
    return f"to_timestamp({named(outcome.time)})" if is_number else f"{named(outcome.time)}::TIMESTAMPTZ"


def plain(column: str) -> str:
    """A column without the prefix of the labels' table."""
    return column.removeprefix(LABEL)
