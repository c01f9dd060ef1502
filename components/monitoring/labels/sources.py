"""Where labels come from: CSV, Parquet, a Delta table, an Arrow table, or SQL over files."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from components.contract.errors import DataError, UserError
from components.inference import stores
from components.inference.local_files import local_files
from components.monitoring.store import quoted

_SQL = re.compile(r"\s*(select|with|from)\s", re.IGNORECASE)
_CSV = (".csv", ".csv.gz", ".tsv")
_PARQUET = (".parquet", ".pq")
_KINDS = "a .csv, .tsv or .parquet file, a pattern such as 'labels/*.parquet', a Delta table's folder, or SQL"


def connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB in UTC that downloads nothing."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def load(connection: duckdb.DuckDBPyConnection, source: str | Path | pa.Table, texts: list[str]) -> list[str]:
    """Makes a source the view `source` of a connection, and returns its columns.

    Args:
        connection: From `connect`.
        source: A file, a pattern of files, a Delta table, SQL, or an Arrow table.
        texts: Columns that a CSV file has as strings, whatever they look like: `007` is no number.

    Raises:
        UserError: The source is of no known kind, or cannot be read.
        ServiceError: A Delta table's store is away.
        DataError: What is in it cannot be read.
    """
    try:
        if isinstance(source, pa.Table):
            connection.register("source", source)
        elif _SQL.match(str(source)):
            connection.execute(f"CREATE TEMP VIEW source AS {str(source).strip().rstrip(';')}")
        else:
            _load_files(connection, str(source), texts)
        return [str(row[0]) for row in connection.execute("DESCRIBE source").fetchall()]
    except duckdb.Error as error:
        raise _explained(error, source) from error


def _load_files(connection: duckdb.DuckDBPyConnection, place: str, texts: list[str]) -> None:
    if place.lower().endswith(_CSV):
        _load_csv(connection, place, texts)
    elif place.lower().endswith(_PARQUET):
        connection.execute(f"CREATE TEMP VIEW source AS FROM read_parquet({quoted(place)}, union_by_name = true)")
    elif "://" in place or Path(place, "_delta_log").is_dir():
        connection.register("source", _delta(place))
    elif not Path(place).exists():
        raise UserError(f"there is no {place}", fix=f"give {_KINDS}")
    else:
        raise UserError(f"{place} is neither CSV nor Parquet nor a Delta table", fix=f"give {_KINDS}")


def _delta(place: str) -> ds.Dataset:
    table = stores.opened(place)
    if table is None:
        raise UserError(f"there is no Delta table {place}", fix=f"give {_KINDS}")
    with stores.reached(place):
        return table.to_pyarrow_dataset(filesystem=local_files(table))


def _load_csv(connection: duckdb.DuckDBPyConnection, place: str, texts: list[str]) -> None:
    # The whole file decides about types: the first rows of a column may all look like numbers.
    found = f"read_csv({quoted(place)}, header = true, sample_size = -1"
    names = [row[0] for row in connection.execute(f"DESCRIBE FROM {found})").fetchall()]
    types = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in names if name in texts)
    connection.execute(f"CREATE TEMP VIEW source AS FROM {found}{f', types = {{{types}}}' if types else ''})")


def _explained(error: Exception, source: object) -> UserError:
    text = str(error).strip().partition("\n\n")[0].replace("\n", " ")[:500]
    what = f"the labels in {str(source)[:200]} cannot be read: {text}"
    if "xtension" in text or "Table Function with name" in text:
        return UserError(
            what,
            fix="this DuckDB reads local CSV, JSON and Parquet files, and downloads no extension: export the rows to "
            "Parquet or CSV with the database's own tool, and give that file",
        )
    if isinstance(error, duckdb.ParserException | duckdb.BinderException | duckdb.CatalogException):
        return UserError(what, fix="correct the SQL; name files in single quotes, as in FROM 'labels.parquet'")
    return DataError(what, fix=f"give {_KINDS}")


def named(column: str) -> str:
    """A column's name in SQL."""
    return '"' + column.replace('"', '""') + '"'
