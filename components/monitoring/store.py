"""The folder with a model's tables: its inference table, its labels, and what the monitor computes.

<root>/inference, <root>/labels, <root>/profile, <root>/drift, <root>/quality, <root>/alarms, <root>/signals,
<root>/mutes, <root>/deliveries, <root>/windows and <root>/passes are Delta tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError
from pyarrow.parquet import filters_to_expression

from components.inference import stores
from components.inference.commits import retried
from components.inference.local_files import local_files
from components.inference.table import HOURS_KEPT
from components.monitoring.tables import SCHEMAS

INFERENCE, LABELS = "inference", "labels"
Filter = tuple[str, str, Any]
"""A column, an operator (`=`, `!=`, `<`, `<=`, `>`, `>=`, `in`) and a value, as pyarrow's filters."""

Filters = Sequence[Filter] | Sequence[Sequence[Filter]]
"""Filters that all have to pass, or several such lists of which one has to."""

Read = Callable[[Filters], pa.Table]
"""Reads the rows of one version of a table."""

_TIDY_EVERY = 25
_CONFIGURATION: dict[str, str | None] = {
    "delta.setTransactionRetentionDuration": "interval 7 days",
    "delta.deletedFileRetentionDuration": f"interval {HOURS_KEPT} hours",
}


class SupersededError(Exception):
    """Another process has written the same rows from later data."""


@dataclass(frozen=True)
class Fence:
    """Keeps a slower process from replacing what another has computed from later data.

    Attributes:
        key: What is written.
        number: The version of the data that it is computed from.
    """

    key: str
    number: int

    def commit(self, table: DeltaTable) -> CommitProperties:
        """The properties of a commit, of which Delta refuses the later if two have the same key.

        Raises:
            SupersededError: The table has rows from later data.
        """
        if (table.transaction_version(self.key) or 0) > self.number:
            raise SupersededError(self.key)
        return CommitProperties(app_transactions=[Transaction(self.key, self.number)])


@dataclass(frozen=True)
class Store:
    """A model's tables.

    Attributes:
        root: A folder, or a URL such as s3://bucket/watch/taxi; Delta's own variables (AWS_ENDPOINT_URL, ...) apply.
    """

    root: str

    def path(self, name: str) -> str:
        """The place of a table."""
        return f"{self.root.rstrip('/')}/{name}"

    def open(self, name: str) -> DeltaTable | None:
        """A table; None if it does not exist yet. Raises ServiceError if the store is away."""
        return stores.opened(self.path(name))

    def version(self, name: str) -> int | None:
        """The newest version of a table; None if it does not exist yet."""
        table = self.open(name)
        return table.version() if table else None

    def read(
        self,
        name: str,
        filters: Filters = (),
        columns: Sequence[str] | None = None,
        version: int | None = None,
    ) -> pa.Table:
        """The rows of a table that pass all filters; no rows if the table does not exist yet.

        Args:
            name: The table.
            filters: Conditions on columns.
            columns: The columns to read; None for all.
            version: The table's version; None for the newest.

        Raises:
            ServiceError: The store is away.
        """
        table = self.open(name)
        if table is None:
            return SCHEMAS[name].empty_table() if name in SCHEMAS else pa.table({})
        with stores.reached(self.path(name)):
            if version is not None:
                table.load_as_version(version)
            return _rows(table, name, filters, columns)

    def replace(self, name: str, rows: pa.Table, where: str, fence: Fence | None = None) -> None:
        """Replaces the rows that meet a condition by others, in one step; raises ServiceError as `append`.

        Args:
            name: The table.
            rows: The new rows; they must meet the condition as well.
            where: SQL, such as `window_start = '2026-01-01T00:00:00Z'`.
            fence: What the rows are computed from, if others may compute the same from later data.

        Raises:
            SupersededError: The table has rows from later data; it stays as it is.
        """
        rows = rows.cast(SCHEMAS[name])

        def write() -> DeltaTable:
            table = self._there(name, rows.schema)
            commit = fence.commit(table) if fence else None
            write_deltalake(
                table, rows, mode="overwrite", predicate=where, schema_mode="merge", commit_properties=commit
            )
            return table

        self._written(name, write)

    def revise(self, name: str, key: str, change: Callable[[Read], pa.Table]) -> None:
        """Replaces rows by others with the same keys, and adds those with new keys, in one step.

        Nothing that others revise is lost: if they are faster, all is done again.

        Args:
            name: The table.
            key: The column that tells the rows apart.
            change: Returns the changed and the new rows. It gets a function that reads rows by filters, and may be
                called several times.

        Raises:
            ServiceError: The store is away, or others write to the table without a pause.
        """

        def write() -> DeltaTable | None:
            table = self._there(name, SCHEMAS[name])
            rows = change(lambda filters: _rows(table, name, filters)).cast(SCHEMAS[name])
            if not rows.num_rows:
                return None
            where = f"{key} in ({', '.join(map(quoted, rows[key].to_pylist()))})"
            # Of two transactions of one application, Delta refuses the later.
            alone = CommitProperties(app_transactions=[Transaction("revise", table.version() + 1)])
            write_deltalake(
                table, rows, mode="overwrite", predicate=where, schema_mode="merge", commit_properties=alone
            )
            return table

        self._written(name, write)

    def append(self, name: str, rows: pa.Table) -> None:
        """Appends rows, and creates the table if it does not exist; adds columns that it lacks.

        Args:
            name: The table.
            rows: The rows.

        Raises:
            ServiceError: The store is away, or others write to the table without a pause.
        """
        rows = rows.cast(SCHEMAS[name]) if name in SCHEMAS else rows

        def write() -> DeltaTable:
            table = self._there(name, rows.schema)
            write_deltalake(table, rows, mode="append", schema_mode="merge")
            return table

        self._written(name, write)

    def cut(self, name: str, column: str, before: datetime) -> None:
        """Deletes rows whose time in a column is earlier than another; raises ServiceError as `append`."""
        if not self.read(name, [(column, "<", before)], [column]).num_rows:
            return

        def write() -> DeltaTable:
            table = self._there(name, SCHEMAS[name])
            table.delete(f"{column} < {quoted(before.astimezone(UTC).isoformat())}")
            return table

        self._written(name, write)

    def _written(self, name: str, write: Callable[[], DeltaTable | None]) -> None:
        """Writes a table, again if others were faster, and tidies it; one that stayed as it was is left alone."""
        with stores.reached(self.path(name)):
            table = retried(write)
            if table is not None:
                _tidy(table)

    def _there(self, name: str, schema: pa.Schema) -> DeltaTable:
        """A table, created if it does not exist; of two that create it, the later finds the earlier one's."""
        place = self.path(name)
        return self.open(name) or DeltaTable.create(
            place,
            schema=schema,
            mode="ignore",
            configuration=_CONFIGURATION,
            storage_options=stores.options(place),
        )


def _tidy(table: DeltaTable) -> None:
    """Every now and then puts the small files of many windows together, or reading would take ever longer.

    Files that were replaced stay as long as those of the inference table, for readers that opened the table before.
    """
    if table.version() % _TIDY_EVERY == 0:
        # Somebody else has done it, or writes at this moment: the next time will do.
        with suppress(CommitFailedError):
            table.optimize.compact()
            # A table of an earlier build says a week.
            table.vacuum(HOURS_KEPT, dry_run=False, enforce_retention_duration=False)
        table.create_checkpoint()


def quoted(text: str) -> str:
    """A text as SQL."""
    escaped = text.replace("'", "''")
    return f"'{escaped}'"


def _rows(table: DeltaTable, name: str, filters: Filters = (), columns: Sequence[str] | None = None) -> pa.Table:
    """Rows of a table; of one that an earlier build wrote, columns that were added since are null."""
    own = pa.schema(table.schema().to_arrow())
    wanted = SCHEMAS.get(name, own)
    missing = [each for each in wanted if each.name not in own.names]
    rows = table.to_pyarrow_dataset(filesystem=local_files(table), schema=pa.schema([*own, *missing]))
    kept = filters_to_expression(list(filters)) if filters else None
    found = rows.to_table(columns=list(columns) if columns else wanted.names, filter=kept)
    return found if columns else found.cast(wanted)
