"""A DuckDB that puts what does not fit into memory on the disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import duckdb

from components.inference import stores
from components.inference.local_files import local_files
from components.monitoring.store import INFERENCE, Store

_MEMORY = "1GB"


@contextmanager
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in UTC; what does not fit into memory is in a temporary folder, which goes with it."""
    with tempfile.TemporaryDirectory(prefix="taxiway-experiment-") as folder:
        settings = {"autoinstall_known_extensions": "false", "memory_limit": _MEMORY, "temp_directory": folder}
        with duckdb.connect(config=settings) as connection:  # type: ignore[arg-type]
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET preserve_insertion_order = false")
            yield connection


def register_requests(connection: duckdb.DuckDBPyConnection, store: Store) -> list[str] | None:
    """Makes the inference table the view `requests`, and returns its columns; None if there is none."""
    table = store.open(INFERENCE)
    if table is None:
        return None
    with stores.reached(store.path(INFERENCE)):
        dataset = table.to_pyarrow_dataset(filesystem=local_files(table))
    connection.register("requests", dataset)
    return list(dataset.schema.names)


def instant(time: datetime) -> str:
    """A time as SQL."""
    return f"make_timestamptz({round(time.timestamp() * 1_000_000)})"


def span(length: timedelta) -> str:
    """A length of time as SQL."""
    return f"to_microseconds({length // timedelta(microseconds=1)})"


def during(start: datetime, end: datetime) -> str:
    """The condition on requests in a stretch of time, which also rules out the files of other days."""
    days = f"date >= '{start:%Y-%m-%d}'::DATE AND date <= '{end:%Y-%m-%d}'::DATE"
    return f"{days} AND time >= {instant(start)} AND time < {instant(end)}"


def one(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    """The single row of a query."""
    return connection.execute(sql).fetchall()[0]
